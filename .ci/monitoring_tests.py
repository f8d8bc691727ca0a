"""Compares the dashboard, the alert rules and the runbook of deploy/ with each other, a page of metrics, and a Prometheus."""

import json
import re
import sys
import urllib.parse
import urllib.request

DASHBOARD = "deploy/grafana/dashboard.json"
RULES = "deploy/prometheus/alerts.yml"
RUNBOOK = "deploy/runbook.md"

# The metrics that Prometheus makes itself.
OF_PROMETHEUS = {"up"}
# The panels whose metrics exist after a few calls. They must not be empty.
CENTRAL = [
    "Ready", "Failing calls", "Defects", "Calls", "99th percentile", "Version", "Calls by status",
    "Refusals and failures by code", "Operations by outcome", "Duration of calls", "99th percentile by route", "Connections", "Wait for a connection",
    "99th percentile by statement", "CPU", "Memory", "Open files", "Uptime",
]


def panels():
    with open(DASHBOARD) as file:
        return [panel for panel in json.load(file)["panels"] if panel["type"] != "row"]


def queries():
    """Title and expression, with the variables of the dashboard filled in."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h")
            yield panel["title"], expression.replace("$instance", ".*").replace("$job", ".*")


def check_dashboard():
    for panel in panels():
        assert panel["description"], f"{panel['title']} has no description"
        assert panel["fieldConfig"]["defaults"]["unit"], f"{panel['title']} has no unit"
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids)), "two panels have one id"
    missing = set(CENTRAL) - {panel["title"] for panel in panels()}
    assert not missing, f"no such panels: {missing}"


def check_runbook():
    """Each alert has the URL of its section, each section belongs to an alert, and links within the page lead to a section."""
    with open(RULES) as file:
        text = file.read()
    alerts = re.findall(r"- alert: (\w+)", text)
    assert alerts
    named = re.findall(r"- alert: (\w+)\n(?:(?!      - alert).*\n)*? +runbook_url: https://\S+/runbook\.md#(\w+)\n", text)
    assert named == [(alert, alert.lower()) for alert in alerts], f"alerts and the sections they name: {named}"
    with open(RUNBOOK) as file:
        page = file.read()
    sections = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert sections == alerts, f"not the same: {set(sections) ^ set(alerts) or 'their order'}"
    dangling = set(re.findall(r"\(#(\w+)\)", page)) - {section.lower() for section in sections}
    assert not dangling, f"no such sections: {dangling}"
    for section in page.split("\n## ")[1:]:
        assert "\nDo" in section or "| do |" in section, f"nothing to do: {section[:40]}"


def names_used():
    text = "\n".join(expression for _, expression in queries())
    with open(RULES) as file:
        # Annotations are no queries.
        text += "\n".join(re.findall(r"expr: *(?:>-\n)?((?:.|\n)*?)\n *(?:for|labels):", file.read()))
    return set(re.findall(r"\b(?:customer_deletion|process)_[a-z_]+\b", text)) - OF_PROMETHEUS


def check_page(path):
    """Each used metric is declared on the page, whether or not it has values yet."""
    with open(path) as file:
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", file.read(), re.MULTILINE))
    declared = set(kinds)
    for name, kind in kinds.items():
        if kind in ("histogram", "summary"):
            declared |= {f"{name}_{suffix}" for suffix in ("bucket", "sum", "count")}
    unknown = names_used() - declared
    assert not unknown, f"the service does not export {sorted(unknown)}"
    unseen = {name for name in kinds if name.startswith("customer_deletion_")} - {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in names_used()} - names_used()
    assert not unseen, f"nobody looks at {sorted(unseen)}"


def check_prometheus(address):
    """Every query of the dashboard is valid, and the central ones have data."""
    for title, expression in queries():
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{query}", timeout=20) as response:
            answer = json.load(response)
        assert answer["status"] == "success", f"{title}: {answer}"
        result = answer["data"]["result"]
        assert result or title not in CENTRAL, f"{title} has no data: {expression}"
        numbers = [sample["value"][1] for sample in result]
        assert title not in CENTRAL or any(number != "NaN" for number in numbers), f"{title} is not a number: {expression}"
    with urllib.request.urlopen(f"http://{address}/api/v1/rules", timeout=20) as response:
        rules = [rule for group in json.load(response)["data"]["groups"] for rule in group["rules"]]
    assert rules and all(rule["health"] == "ok" for rule in rules), rules


if __name__ == "__main__":
    {"dashboard": check_dashboard, "runbook": check_runbook, "page": check_page, "prometheus": check_prometheus}[sys.argv[1]](*sys.argv[2:])
