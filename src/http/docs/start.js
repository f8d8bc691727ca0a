// `?requester=<id>` fills in who calls, as the address that the demo prints does.
const requester = new URLSearchParams(location.search).get("requester");

const page = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // The default would send the document to a validator elsewhere.
  validatorUrl: null,
  onComplete: () => {
    if (requester) {
      page.preauthorizeApiKey("requester", requester);
    }
  },
});
