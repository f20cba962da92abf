// Shows the description that is served beside this page. Nothing is fetched from elsewhere.
window.ui = SwaggerUIBundle({
  url: "swagger.json",
  dom_id: "#description",
  validatorUrl: null,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  filter: true,
  tryItOutEnabled: true,
});
