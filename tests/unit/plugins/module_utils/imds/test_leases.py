"""DHCP option 245 in the lease files of three clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.azure_guest.imds.plugins.module_utils.imds import leases

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_512_000_000.0  # Thu 2017-11-30 00:00:00 UTC
DHCLIENT = """\
# some comment
lease {{
  interface "eth0";
  fixed-address 10.0.0.4;
  option subnet-mask 255.255.255.0;
  option unknown-245 {option};
  option dhcp-message-type 5;
  renew 4 2017/11/30 09:00:00;
  expire {expire};
}}
"""
SECOND = 'lease {\n  interface "eth1";\n  option routers 10.0.0.1;\n  expire never;\n}\n'


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="latin-1")


@pytest.mark.parametrize(
    ("option", "address"),
    [
        ("a8:3f:81:10", "168.63.129.16"),
        ("7f:0:0:9", "127.0.0.9"),
        (r'"\250?\201\020"', "168.63.129.16"),
        (r'"d\"\\A"', "100.34.92.65"),
        ("100.64.1.2", "100.64.1.2"),
    ],
)
def test_every_way_dhclient_writes_an_address(tmp_path: Path, option: str, address: str) -> None:
    text = SECOND + DHCLIENT.format(option=option, expire="4 2017/11/30 09:11:11")
    write(tmp_path, "var/lib/dhcp/dhclient.eth0.leases", text)
    search = leases.find(str(tmp_path), now=NOW)
    assert search.lease is not None
    assert search.lease.address == address
    assert search.lease.expires == 1_512_033_071.0


@pytest.mark.parametrize(
    "option", ["a8:3f", "zz:1:2:3", '"abc"', "0.0.0.0", "ff:ff:ff:ff", "e0:0:0:1", "1:2:3:4:5", ""]
)
def test_what_is_no_address_is_none(tmp_path: Path, option: str) -> None:
    write(tmp_path, "var/lib/dhclient/dhclient-eth0.lease", DHCLIENT.format(option=option, expire="never"))
    assert leases.find(str(tmp_path), now=NOW).lease is None


@pytest.mark.parametrize(
    ("expire", "valid"),
    [
        ("never", True),
        ("4 2017/11/30 00:00:01", True),
        ("3 2017/11/29 23:59:59", False),
        ("epoch 1512000001; # Thu Nov 30 00:00:01 2017", True),
        ("epoch 1511999999", False),
    ],
)
def test_a_lease_that_has_expired_does_not_count(tmp_path: Path, expire: str, valid: bool) -> None:
    write(tmp_path, "var/lib/NetworkManager/dhclient-x-eth0.lease", DHCLIENT.format(option="1:2:3:4", expire=expire))
    assert (leases.find(str(tmp_path), now=NOW).lease is not None) is valid


def test_the_lease_that_was_renewed_last_counts(tmp_path: Path) -> None:
    blocks = [
        ("1:1:1:1", "4 2017/11/30 08:00:00"),
        ("2:2:2:2", "4 2017/11/30 10:00:00"),
        ("3:3:3:3", "3 2017/11/29 01:00:00"),
    ]
    text = "".join(DHCLIENT.format(option=option, expire=expire) for option, expire in blocks)
    write(tmp_path, "var/lib/dhcp/dhclient.leases", text)
    found = leases.find(str(tmp_path), now=NOW).lease
    assert found is not None
    assert found.address == "2.2.2.2"


@pytest.mark.parametrize("name", ["run/systemd/netif/leases/2", "var/lib/NetworkManager/internal-0a1b-eth0.lease"])
def test_files_of_names_and_values(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "# This is private data. Do not parse.\nADDRESS=10.0.0.4\nOPTION_245=a83f8110\n")
    found = leases.find(str(tmp_path), now=NOW).lease
    assert found == leases.Lease(f"{tmp_path}/{name}", "168.63.129.16")


def test_a_lease_without_the_option_and_no_lease_at_all(tmp_path: Path) -> None:
    assert leases.find(str(tmp_path), now=NOW) == leases.Search(None, ())
    write(tmp_path, "run/systemd/netif/leases/2", "ADDRESS=10.0.0.4\n")
    assert leases.find(str(tmp_path), now=NOW) == leases.Search(None, ())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/netif/leases/2").mkdir(parents=True)
    search = leases.find(str(tmp_path), now=NOW)
    assert search.lease is None
    assert "leases/2: Is a directory" in search.unreadable[0]
