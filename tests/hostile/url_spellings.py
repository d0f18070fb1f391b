"""Addresses in every spelling that has fooled a parser, and those that are what they seem."""

from __future__ import annotations

# Each is refused as it stands, before anything is looked up.
REFUSED = (
    # other schemes, or none
    *("file:///etc/passwd", "ftp://example.com/m.gguf", "gopher://example.com/", "data:,x"),
    *("javascript:alert(1)", "example.com/m.gguf", "//example.com/m.gguf", "https:/example.com/m"),
    *("https:example.com/m", "http://example.com/m.gguf", "HTTP://example.com/", "ws://example.com/"),
    *("\\\\host\\share\\m.gguf", "https://", "https:///m.gguf", "://example.com/"),
    # user names, ports
    *("https://user@example.com/m", "https://user:password@example.com/m", "https://@example.com/m"),
    *("https://example.com@127.0.0.1/m", "https://example.com:80/m", "https://example.com:8443/m"),
    *("https://example.com:0443/m", "https://example.com:+443/m", "https://example.com:/m"),
    *("https://example.com:99999/m", "https://example.com:443:443/m", "https://example.com:0/m"),
    # this machine and its network
    *("https://localhost/m", "https://LOCALHOST/m", "https://a.localhost/m", "https://printer.local/"),
    *("https://metadata.google.internal/", "https://router.home.arpa/", "https://intranet/m"),
    *("https://127.0.0.1/m", "https://10.1.2.3/m", "https://172.16.0.1/m", "https://192.168.1.1/m"),
    *("https://169.254.169.254/latest", "https://100.64.0.1/m", "https://0.0.0.0/m"),
    *("https://255.255.255.255/m", "https://224.0.0.1/m", "https://192.0.2.1/m", "https://240.0.0.1/m"),
    *("https://[::1]/m", "https://[::]/m", "https://[fe80::1]/m", "https://[fc00::1]/m"),
    *("https://[::ffff:127.0.0.1]/m", "https://[::ffff:7f00:1]/m", "https://[::127.0.0.1]/m"),
    *("https://[64:ff9b::7f00:1]/m", "https://[64:ff9b::10.0.0.1]/m", "https://[2002:7f00:1::]/m"),
    *("https://[2001:0:7f00:1::]/m", "https://[2001:db8::1]/m", "https://[ff02::1]/m"),
    # numbers written otherwise
    *("https://2130706433/m", "https://0x7f000001/m", "https://0x7f.0.0.1/m", "https://017700000001/m"),
    *("https://0177.0.0.1/m", "https://127.1/m", "https://127.0.1/m", "https://0/m", "https://127.0.0.01/m"),
    *("https://127.0.0.1./m", "https://8.8.8.8./m", "https://8.8.2056/m", "https://1.2.3.4.5/m"),
    *("https://[::1%25eth0]/m", "https://[fe80::1%eth0]/m", "https://[::1/m", "https://::1/m"),
    *("https://[8.8.8.8]/m", "https://[2606:4700::1111]x/m", "https://x[2606:4700::1111]/m"),
    # names written otherwise
    *("https://example.com./m", "https://example..com/m", "https://.example.com/m"),
    *("https://-a.example.com/m", "https://a-.example.com/m", "https://exa_mple.com/m"),
    *("https://exam%70le.com/m", "https://127.0.0.1%2f@example.com/m", "https://example。com/m"),
    *("https://①②⑦.⓪.⓪.①/m", "https://\uff45xample.com/m", "https://exämple.com/m"),
    *("https://example.com\u200b/m", "https://\u202eexample.com/m", "https://ex\u00adample.com/m"),
    *(f"https://{'a' * 64}.com/m", f"https://{'a.' * 130}com/m"),
    # characters that parsers disagree on
    *("https://example.com\\@127.0.0.1/m", "https:\\\\example.com\\m", "https://example.com\\.evil/"),
    *("https://example.com /m", " https://example.com/m", "https://example.com/m ", "https://ex\tample.com/"),
    *("https://example.com/m\r\nHost: x", "https://example.com/\0m", "https://example.com/a b"),
    *("https://example.com/m\n", "https://example.com/<m>", 'https://example.com/"m"'),
    *("https://example.com/{m}", "https://example.com/m|n", "https://example.com/m^", "https://example.com/`"),
    *("https://example.com/m\x7f", "https://example.com/ä.gguf"),
    "https://example.com/" + "a" * 9_000,
    *("https://example.com#@127.0.0.1/\u2028", "", "https", "https://?host", "https://#host"),
)  # fmt: skip

# Spelling → the parts that are connected to: scheme, host, port, target.
ACCEPTED = {
    "https://example.com/m.gguf": ("https", "example.com", 443, "/m.gguf"),
    "HTTPS://EXAMPLE.COM/M.gguf": ("https", "example.com", 443, "/M.gguf"),
    "https://example.com:443/m": ("https", "example.com", 443, "/m"),
    "https://example.com": ("https", "example.com", 443, "/"),
    "https://example.com?x=1": ("https", "example.com", 443, "/?x=1"),
    "https://example.com/m?x=a/b@c:d#part": ("https", "example.com", 443, "/m?x=a/b@c:d"),
    "https://example.com#@127.0.0.1/": ("https", "example.com", 443, "/"),
    "https://example.com/a%20b/../c": ("https", "example.com", 443, "/a%20b/../c"),
    "https://xn--exmple-cua.com/": ("https", "xn--exmple-cua.com", 443, "/"),
    "https://1.example.com/": ("https", "1.example.com", 443, "/"),
    "https://8.8.8.8/m": ("https", "8.8.8.8", 443, "/m"),
    "https://[2606:4700:0:0::1111]/m": ("https", "2606:4700::1111", 443, "/m"),
    "https://[64:ff9b::808:808]/m": ("https", "64:ff9b::808:808", 443, "/m"),
}

PRIVATE = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1"),  # noqa: S104 - refused
    *(
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
    ),
    *("192.0.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::a00:1", "64:ff9b:1::808:808"),
    *("100::1", "2001::1", "2001:db8::1", "2001:10::1", "2002:808:808::", "3fff::1"),
    *("5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "4000::1"),
)
PUBLIC_IPS = (
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1"),
    *("126.1.1.1", "128.0.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.254"),
    *("2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808", "2003::1"),
)
