package main

import (
	"log/slog"
	"net/http"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/limiter"
)

// service is everything that the handlers need.
type service struct {
	keys         *apikey.Keys
	guard        *keystile.Guard
	limits       *limiter.Limiter
	readContacts func(http.Handler) http.Handler
}

// newService wires keystile up. All mistakes in a configuration show here.
func newService(logger *slog.Logger) (*service, error) {
	store := apikey.NewMemoryStore()
	keys, err := apikey.New(apikey.Config{
		Store:  store,
		Feed:   store,
		Format: apikey.Format{Prefix: "demo_"},
		Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	observer := keystile.SlogObserver(logger)
	guard, err := keystile.NewGuard(keystile.GuardConfig{
		Authenticator: keys.From(apikey.Header("X-API-Key"), apikey.Bearer()),
		Realm:         "quickstart",
		Observer:      observer,
	})
	if err != nil {
		return nil, err
	}
	memory, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		return nil, err
	}
	limits, err := limiter.New(limiter.Config{
		Name:  "api",
		Store: memory,
		By:    limiter.ByAccount,
		Plans: limiter.Plans{
			"free": {Limits: []limiter.Limit{limiter.PerHour(10), limiter.PerDay(100), limiter.Concurrent(1)}},
			"pro":  {Limits: []limiter.Limit{limiter.PerHour(200), limiter.PerDay(2000), limiter.Concurrent(10)}},
		},
		DefaultPlan:  "free",
		OnStoreError: limiter.Deny,
		Observer:     observer,
	})
	if err != nil {
		return nil, err
	}
	readContacts, err := keystile.RequireScopes("contacts:read")
	if err != nil {
		return nil, err
	}
	return &service{keys: keys, guard: guard, limits: limits, readContacts: readContacts}, nil
}

// handler is the whole service: who is it, may it now, and then the route.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", s.hello)
	mux.Handle("GET /contacts", s.readContacts(http.HandlerFunc(s.contacts)))
	mux.HandleFunc("POST /api-keys", s.createKey)
	mux.HandleFunc("GET /api-keys", s.listKeys)
	mux.HandleFunc("DELETE /api-keys/{id}", s.deleteKey)
	return keystile.Routes(mux, s.guard.Wrap, s.limits.Wrap)
}
