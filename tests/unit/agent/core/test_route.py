"""Proxies and redirects: which way a request takes, and where no secret may go."""

import pytest

from skerry_agent.core.route import NONE, Proxy, Url, parse_url, proxy_for, redirected
from skerry_contract.errors import ContractError

CLOUD = parse_url("https://cloud.example:7700/base", subject="cloud")
LAN = parse_url("http://10.1.2.3:5000", subject="source")
BOTH = {"HTTPS_PROXY": "http://secure:3128", "http_proxy": "http://u%40x:p%3Aw@plain:8080"}


def test_a_url_is_taken_apart() -> None:
    assert Url("https", "cloud.example", 7700, "/base") == CLOUD
    assert str(parse_url("HTTP://Cloud.EXAMPLE/a?b=c", subject="")) == "http://cloud.example/a?b=c"
    six = parse_url("http://[fd00::1]:80/", subject="")
    assert (six.host, six.netloc) == ("fd00::1", "[fd00::1]")
    assert parse_url("https://me:secret@host/", subject="").origin == "https://host"


@pytest.mark.parametrize(
    "text", ["", "ftp://x", "http://", "/path", "http://a b/", "http://x/\r\nHost: y", "http://x:y"]
)
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        parse_url(text, subject="source")


@pytest.mark.parametrize(
    ("url", "setting", "environment", "proxy"),
    [
        pytest.param(CLOUD, "", {}, None, id="nothing is set"),
        pytest.param(CLOUD, "", BOTH, Proxy("secure", 3128), id="by scheme"),
        pytest.param(LAN, "", BOTH, Proxy("plain", 8080, "Basic dUB4OnA6dw=="), id="with password"),
        pytest.param(CLOUD, "", {"all_proxy": "every:1"}, Proxy("every", 1), id="for both"),
        pytest.param(CLOUD, NONE, BOTH, None, id="a setting may say none"),
        pytest.param(
            LAN, "http://mine:9", {**BOTH, "no_proxy": "*"}, Proxy("mine", 9), id="a setting wins"
        ),
        pytest.param(CLOUD, "", {**BOTH, "NO_PROXY": "other, example"}, None, id="a domain"),
        pytest.param(CLOUD, "", {**BOTH, "NO_PROXY": ".example"}, None, id="a domain with a dot"),
        pytest.param(
            CLOUD, "", {**BOTH, "NO_PROXY": "xample"}, Proxy("secure", 3128), id="not a part of one"
        ),
        pytest.param(CLOUD, "", {**BOTH, "NO_PROXY": "cloud.example:7700"}, None, id="a port"),
        pytest.param(
            CLOUD,
            "",
            {**BOTH, "NO_PROXY": "cloud.example:443"},
            Proxy("secure", 3128),
            id="another port",
        ),
        pytest.param(LAN, "", {**BOTH, "NO_PROXY": "10.0.0.0/8"}, None, id="a network"),
        pytest.param(
            LAN,
            "",
            {**BOTH, "NO_PROXY": "192.168.0.0/16,"},
            Proxy("plain", 8080, "Basic dUB4OnA6dw=="),
            id="another network",
        ),
        pytest.param(LAN, "", {**BOTH, "NO_PROXY": "*"}, None, id="everything"),
    ],
)
def test_the_proxy_is_the_one_that_people_expect(
    url: Url, setting: str, environment: dict[str, str], proxy: Proxy | None
) -> None:
    assert proxy_for(url, setting, environment) == proxy


def test_a_proxy_of_another_kind_is_refused() -> None:
    with pytest.raises(ContractError, match="proxy"):
        proxy_for(CLOUD, "", {"HTTPS_PROXY": "socks5://x:1"})


def test_a_redirect_may_be_relative_or_lead_elsewhere() -> None:
    assert str(redirected(CLOUD, "/x?y", subject="")) == "https://cloud.example:7700/x?y"
    assert redirected(CLOUD, "https://s3.example/b", subject="").origin == "https://s3.example"
    assert redirected(LAN, "https://s3.example/b", subject="").scheme == "https"


@pytest.mark.parametrize("location", ["", "http://cloud.example/x", "file:///etc/passwd"])
def test_a_redirect_never_leads_out_of_tls_or_nowhere(location: str) -> None:
    with pytest.raises(ContractError, match="blob"):
        redirected(CLOUD, location, subject="blob")
