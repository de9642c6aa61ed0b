// Echo is the service of quickstart behind an echo router: the same requests
// have the same answers.
//
//	go run ./examples/echo
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/keystile/keystile/adapters/echoadapter"
	"github.com/keystile/keystile/examples/internal/service"
)

func main() { service.Main(routes) }

func routes(s *service.Service) http.Handler {
	e := echo.New()
	e.Use(echoadapter.Wrap(s.Wrap)) // before every route, and before 404
	wrap := func(f http.HandlerFunc) echo.HandlerFunc { return echo.WrapHandler(f) }
	get := func(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) { // HEAD is no part of echo's GET
		e.Match([]string{http.MethodGet, http.MethodHead}, path, h, m...)
	}
	get("/hello", wrap(s.Hello))
	get("/contacts", wrap(s.Contacts), echoadapter.Wrap(s.ReadContacts))
	e.POST("/api-keys", wrap(s.CreateKey))
	get("/api-keys", wrap(s.ListKeys))
	e.DELETE("/api-keys/:id", wrap(s.DeleteKey))
	e.POST("/count", wrap(s.Count))
	get("/stream", wrap(s.Stream))
	get("/panic", wrap(s.Panic))
	get("/odd", wrap(s.Odd))
	return e
}
