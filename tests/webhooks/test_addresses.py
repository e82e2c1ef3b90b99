"""Where a merchant may have us send requests, and where not, however it is spelled."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.webhooks.addresses import UrlRefused, is_public, is_within, parse_target
from bezant.webhooks.guard import AddressNotAllowed, Guard

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8
192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 3fff::1
5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 ff0e::1
""".split()
PUBLIC = "1.1.1.1 8.8.8.8 93.184.216.34 2606:4700:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::808:808".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_address_that_is_not_of_the_public_internet_is_known_as_such(address: str):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_public(address: str):
    assert is_public(ip_address(address))


@given(st.ip_addresses())
def test_nothing_is_public_that_the_standard_library_knows_not_to_be(address: object):
    parsed = ip_address(str(address))
    if parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved:
        mapped = getattr(parsed, "ipv4_mapped", None)
        assert not is_public(parsed) or mapped is not None or parsed in ip_network("64:ff9b::/96")


def test_allowed_networks_also_hold_the_addresses_that_wrap_theirs():
    networks = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    assert is_within(ip_address("10.1.2.3"), networks)
    assert is_within(ip_address("::ffff:10.1.2.3"), networks)
    assert is_within(ip_address("fd00:1::9"), networks)
    assert not is_within(ip_address("10.2.0.1"), networks)
    assert not is_within(ip_address("fd00:2::9"), networks)


@pytest.mark.parametrize(
    "url",
    [
        "https://user@shop.example/",
        "https://user:password@shop.example/",
        "https://@shop.example/",
        "https://shop.example@127.0.0.1/",
        "https://shop.example\\@127.0.0.1/",
        "https://shop.example/#fragment",
        "https://shop.example/#",
        "https:///path",
        "https://",
        "//shop.example/",
        "shop.example/hook",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "gopher://shop.example/",
        "https://shop.example:0/",
        "https://shop.example:65536/",
        "https://shop.example:x/",
        "https://shop.example/ path",
        "https://shop.example/\r\nHost: other",
        "https://shop.example/\x00",
        "https://sh\u00f6p.example/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.1./",
        "https://127.0.0.0x1/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[127.0.0.1]/",
        "https://[v1.x]/",
        "https://shop..example/",
        "https://-shop.example/",
        "https://sh%6fp.example/",
        "https://shop.example%00.evil/",
        "https://*.example/",
        f"https://{'a' * 64}.example/",
    ],
)
def test_url_that_two_readers_could_understand_differently_is_refused(url: str):
    with pytest.raises(UrlRefused):
        parse_target(url)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://shop.example", "shop.example", 443),
        ("https://Shop.Example:8443/hook?token=a@b&x=1", "shop.example", 8443),
        ("https://shop.example./", "shop.example.", 443),
        ("https://93.184.216.34/", "93.184.216.34", 443),
        ("https://[2606:4700::1]:444/", "2606:4700::1", 444),
        ("https://my_shop.example/a%20b", "my_shop.example", 443),
        (f"https://{'a' * 63}.example/", f"{'a' * 63}.example", 443),
        ("https://xn--shp-sna.example/", "xn--shp-sna.example", 443),
        ("http://10.1.2.3:8080/", "10.1.2.3", 8080),
    ],
)
def test_plain_url_is_understood(url: str, host: str, port: int):
    target = parse_target(url)
    assert (target.host, target.port) == (host, port)


def resolving_to(*addresses: str):
    async def lookup(host: str, port: int) -> Sequence[str]:
        return addresses

    return lookup


async def unknown(host: str, port: int) -> Sequence[str]:
    raise OSError("no such name")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://0.0.0.0/",
        "http://93.184.216.34/",
        "http://shop.example/",
    ],
)
async def test_url_to_a_forbidden_address_or_without_tls_is_refused(url: str):
    with pytest.raises(UrlRefused):
        await Guard((), unknown).check(url)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["fe80::1%eth0"]])
async def test_name_that_leads_to_a_forbidden_address_is_refused(addresses: list[str]):
    guard = Guard((), resolving_to(*addresses))
    with pytest.raises(UrlRefused):
        await guard.check("https://shop.example/")
    with pytest.raises(AddressNotAllowed):
        await guard.resolver("https").resolve("shop.example", 443)


async def test_real_name_of_the_loopback_address_is_refused():
    from bezant.webhooks.guard import SystemLookup

    lookup = SystemLookup(2)
    try:
        with pytest.raises(UrlRefused):
            await Guard((), lookup).check("https://localhost/hook")
    finally:
        lookup.close()


async def test_public_url_is_accepted_also_while_its_name_does_not_resolve():
    await Guard((), resolving_to("93.184.216.34", "2606:4700::1")).check("https://shop.example/")
    await Guard((), unknown).check("https://shop.example/")


async def test_operators_networks_may_be_sent_to_also_without_tls_and_nothing_else():
    guard = Guard([ip_network("10.1.0.0/16")], resolving_to("10.1.2.3"))
    await guard.check("https://shop.internal/")
    await guard.check("http://shop.internal:8080/")
    for url in ("https://10.2.0.1/", "http://93.184.216.34/", "https://127.0.0.1/"):
        with pytest.raises(UrlRefused):
            await guard.check(url)


def test_socket_is_made_only_for_an_allowed_address():
    guard = Guard((), unknown)
    make = guard.socket_factory("https")
    for address in ("127.0.0.1", "::1", "169.254.169.254", "fe80::1%lo", "not an address"):
        with pytest.raises(AddressNotAllowed):
            make((2, 1, 6, "", (address, 443)))
    with pytest.raises(AddressNotAllowed):
        guard.socket_factory("http")((2, 1, 6, "", ("93.184.216.34", 80)))
    make((2, 1, 6, "", ("93.184.216.34", 443))).close()
