// Quickstart is a small web service behind keystile, on net/http alone.
//
//	go run ./examples/quickstart
package main

import (
	"net/http"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/examples/internal/service"
)

func main() { service.Main(routes) }

func routes(s *service.Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", s.Hello)
	mux.Handle("GET /contacts", s.ReadContacts(http.HandlerFunc(s.Contacts)))
	mux.HandleFunc("POST /api-keys", s.CreateKey)
	mux.HandleFunc("GET /api-keys", s.ListKeys)
	mux.HandleFunc("DELETE /api-keys/{id}", s.DeleteKey)
	mux.HandleFunc("POST /count", s.Count)
	mux.HandleFunc("GET /stream", s.Stream)
	mux.HandleFunc("GET /panic", s.Panic)
	mux.HandleFunc("GET /odd", s.Odd)
	return keystile.Routes(mux, s.Wrap)
}
