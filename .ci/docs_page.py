"""Tries the documentation page in headless Chromium: docs_page.py <address of the page> <folder for screenshots>

The browser resolves no name, so that whatever the page wanted from elsewhere would be missing from it.
"""

import json
import os
import shutil
import sys
import urllib.parse
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PAGE, FOLDER = sys.argv[1:]
SERVICE, _, QUERY = PAGE.partition("/docs?")
REQUESTER = urllib.parse.parse_qs(QUERY)["requester"][0]
SECONDS = 30

# The page, and elements whose right edge is beyond the screen.
WIDER_THAN = """
const [width] = arguments;
const beyond = element => element.getBoundingClientRect().width && element.getBoundingClientRect().right > width + 1;
const wider = [...document.querySelectorAll("body *")].filter(beyond).map(element => `${element.tagName} ${element.className}`);
return document.documentElement.scrollWidth > width ? ["the page", ...wider] : wider;
"""


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in (
        "--headless=new",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--window-size=1280,1600",
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def require(condition, complaint):
    if not condition:
        sys.exit(complaint)


class Page:
    def __init__(self, browser):
        self.browser = browser
        self.screenshots = 0

    def open(self, address):
        # It opens an empty page first. Otherwise an address that differs only in its query might not be loaded again.
        self.browser.get("about:blank")
        self.browser.get(address)
        self.wait_for(".opblock")

    def wait_for(self, selector):
        wait = WebDriverWait(self.browser, SECONDS)
        return wait.until(lambda browser: browser.find_element(By.CSS_SELECTOR, selector), f"there is no {selector}")

    def click(self, selector):
        element = self.wait_for(selector)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def screenshot(self):
        self.screenshots += 1
        self.browser.save_screenshot(os.path.join(FOLDER, f"docs-page-{self.screenshots}.png"))

    def try_out(self, tag, operation):
        """Executes an operation with the values of the page, and returns the status and the body that the page shows."""
        block = f"#operations-{tag}-{operation}"
        self.click(f"{block} .opblock-summary-control")
        self.click(f"{block} .execute")
        answer = f"{block} .live-responses-table .response"
        status = self.wait_for(f"{answer} .response-col_status").text.split()[0]
        body = json.loads(self.wait_for(f"{answer} .highlight-code code").text)
        self.screenshot()
        print(f"{operation}: {status} {json.dumps(body)}")
        return status, body

    def deletes(self, tag, operation):
        status, body = self.try_out(tag, operation)
        require(status == "200" and body["errorCode"] == "", f"{operation} deletes nothing")
        recorded = details(body["content"][0]["requestId"])
        require((recorded["status"], recorded["resource"]) == ("SUCCESS", tag), f"{operation} left {recorded}")

    def authorize(self, requester, look=lambda: None):
        """Enters the requester by hand, as a user does without the address that the demo prints."""
        self.click(".auth-wrapper .authorize")
        self.wait_for(".auth-container input").send_keys(requester)
        look()
        self.click(".auth-btn-wrapper .authorize")
        self.click(".auth-btn-wrapper .btn-done")


    def is_no_wider_than(self, width, what):
        """Nothing on it is cut off or scrolled."""
        wider = self.browser.execute_script(WIDER_THAN, width)
        self.screenshot()
        require(not wider, f"{what} at {width} pixels: {wider}")
        print(f"{what} at {width} pixels: nothing is wider")


def details(request_id):
    call = urllib.request.Request(f"{SERVICE}/api/v3/global/call/{request_id}", headers={"X-Requester-Id": REQUESTER})
    with urllib.request.urlopen(call) as answer:
        return json.load(answer)["content"][0]


def the_console_is_empty(browser):
    lines = browser.get_log("browser")
    require(not lines, f"the console has {lines}")


def everything_came_from_the_service(browser):
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    addresses = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    elsewhere = [address for address in addresses if not address.startswith((f"{SERVICE}/", "data:"))]
    require(any(address.endswith("/openapi.json") for address in addresses), f"the requests are not seen: {addresses}")
    require(not elsewhere, f"the page asked elsewhere: {elsewhere}")
    print(f"{len(addresses)} requests, all to {SERVICE} or of the page's own data")


def nothing_overflows(page, width):
    """On a phone, nothing on the page is wider than the screen."""
    screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page.open(f"{SERVICE}/docs")
    page.authorize(REQUESTER, lambda: page.is_no_wider_than(width, "the dialogue"))
    page.click("#operations-contact-deleteContactList .opblock-summary-control")
    page.wait_for("#operations-contact-deleteContactList .responses-table")
    page.is_no_wider_than(width, "a call")
    page.try_out("call", "listCalls")
    page.is_no_wider_than(width, "an answer")
    page.browser.execute_script("document.querySelectorAll('.json-schema-2020-12-expand-deep-button').forEach(b => b.click())")
    page.wait_for("section.models .json-schema-2020-12-keyword--enum")
    page.is_no_wider_than(width, "the schemas")
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


browser = start_browser()
try:
    page = Page(browser)
    page.open(PAGE)
    page.screenshot()
    page.deletes("contact", "deleteContact")
    # A body on DELETE, and the same on POST.
    page.deletes("address", "deleteAddressList")
    page.deletes("external-params", "batchDeleteExternalParams")
    page.open(f"{SERVICE}/docs")
    page.authorize(REQUESTER)
    page.deletes("zone", "deleteZone")
    nothing_overflows(page, 390)
    the_console_is_empty(browser)
    everything_came_from_the_service(browser)
finally:
    browser.quit()
