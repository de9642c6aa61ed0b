// Gin is the service of quickstart behind a gin router: the same requests have
// the same answers.
//
//	go run ./examples/gin
package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/keystile/keystile/adapters/ginadapter"
	"github.com/keystile/keystile/examples/internal/service"
)

func main() { service.Main(routes) }

func routes(s *service.Service) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.HandleMethodNotAllowed = true                    // 405 where the path is known
	router.RedirectTrailingSlash = false                    // as http.ServeMux
	router.Use(ginadapter.Wrap(s.Wrap))                     // before every route, and before 404
	get := func(path string, handlers ...gin.HandlerFunc) { // HEAD is no part of gin's GET
		router.Match([]string{http.MethodGet, http.MethodHead}, path, handlers...)
	}
	get("/hello", gin.WrapF(s.Hello))
	get("/contacts", ginadapter.Wrap(s.ReadContacts), gin.WrapF(s.Contacts))
	router.POST("/api-keys", gin.WrapF(s.CreateKey))
	get("/api-keys", gin.WrapF(s.ListKeys))
	router.DELETE("/api-keys/:id", gin.WrapF(s.DeleteKey))
	router.POST("/count", gin.WrapF(s.Count))
	get("/stream", gin.WrapF(s.Stream))
	get("/panic", gin.WrapF(s.Panic))
	get("/odd", gin.WrapF(s.Odd))
	return router
}
