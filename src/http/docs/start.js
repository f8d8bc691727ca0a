// `?requester=<id>` fills in the requester header. The demo prints such an address.
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
