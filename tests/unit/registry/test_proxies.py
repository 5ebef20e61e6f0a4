from __future__ import annotations

import pytest

from knarr.registry.proxies import proxy_for

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://x.test/v2/", {}, None),
        ("https://x.test/v2/", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://x.test/v2/", {"https_proxy": "proxy.test:3128"}, PROXY),
        ("https://x.test/v2/", {"HTTP_PROXY": PROXY}, None),
        ("http://x.test/v2/", {"HTTP_PROXY": PROXY}, PROXY),
        # In a CGI program the name in capitals is a header of the visitor.
        ("http://x.test/", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("https://localhost:5000/", {"HTTPS_PROXY": PROXY}, None),
        ("https://127.1.2.3:5000/", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:5000/", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_which_proxy(url: str, environ: dict[str, str], expected: str | None) -> None:
    assert proxy_for(url, environ) == expected


@pytest.mark.parametrize(
    ("exceptions", "host", "bypassed"),
    [
        ("x.test", "x.test", True),
        ("x.test", "X.test", True),
        ("x.test", "a.x.test", True),
        ("x.test", "ax.test", False),
        (".x.test", "a.x.test", True),
        (".x.test", "x.test", False),
        ("*.x.test", "a.x.test", True),
        ("y.test, x.test", "x.test", True),
        ("x.test:5000", "x.test:5000", True),
        ("x.test:5000", "x.test:5001", False),
        ("x.test:443", "x.test", True),
        ("*", "x.test", True),
        ("10.0.0.0/8", "10.1.2.3:5000", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "x.test", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "[fd00::1]:5000", True),
        ("not/a/network", "10.1.2.3", False),
        ("", "x.test", False),
    ],
)
def test_exceptions(exceptions: str, host: str, *, bypassed: bool) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions}
    assert (proxy_for(f"https://{host}/v2/", environ) is None) == bypassed
