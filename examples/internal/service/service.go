package service

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/basicauth"
	"github.com/keystile/keystile/bearer"
	"github.com/keystile/keystile/envelope"
	"github.com/keystile/keystile/limiter"
)

// Service is the demo service: what its handlers need, and the chain that stands
// before them.
type Service struct {
	keys   *apikey.Keys
	tokens *bearer.Authenticator
	users  *basicauth.MemoryUsers
	signer *bearer.Signer

	chain        func(http.Handler) http.Handler
	readContacts func(http.Handler) http.Handler
}

// issuer is the name under which the service signs its own JWTs.
const issuer = "https://quickstart.example"

// New wires keystile up. All mistakes in a configuration show here.
func New(logger *slog.Logger) (*Service, error) {
	s := new(Service)
	credentials, err := s.authenticator(logger)
	if err != nil {
		return nil, err
	}
	observer := keystile.SlogObserver(logger)
	guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: credentials, Realm: "quickstart", Observer: observer})
	if err != nil {
		return nil, err
	}
	counters, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		return nil, err
	}
	limits, err := limiter.New(limiter.Config{
		Name:  "api",
		Store: counters,
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
	env, err := envelope.New(envelope.Config{Style: style{}, Logger: logger})
	if err != nil {
		return nil, err
	}
	if s.readContacts, err = keystile.RequireScopes("contacts:read"); err != nil {
		return nil, err
	}
	// The shape of every answer; who is it; may it now.
	s.chain = keystile.Chain(env.Wrap, guard.Wrap, limits.Wrap)
	return s, nil
}

// authenticator accepts one of four kinds of credential: a key in a header of
// its own, a key or a JWT as Bearer, a user with a password.
func (s *Service) authenticator(logger *slog.Logger) (keystile.Authenticator, error) {
	store := apikey.NewMemoryStore()
	var err error
	s.keys, err = apikey.New(apikey.Config{Store: store, Feed: store, Format: apikey.Format{Prefix: "demo_"}, Logger: logger})
	if err != nil {
		return nil, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s.signer, err = bearer.NewSigner(bearer.SignerConfig{
		Issuer: issuer, Audience: []string{"quickstart"}, TTL: tokenTTL,
		Keys: []bearer.SigningKey{{ID: "1", Algorithm: bearer.ES256, Private: private}},
	})
	if err != nil {
		return nil, err
	}
	s.tokens, err = bearer.New(bearer.Config{
		Opaque: s.keys,
		Issuers: []bearer.Issuer{{
			Name: issuer, Audience: []string{"quickstart"}, Algorithms: []bearer.Algorithm{bearer.ES256},
			KeySet:    s.signer.KeySet(),
			Principal: bearer.Mapping{Account: "account", Plan: "plan"},
		}},
		Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if s.users, err = basicauth.NewMemoryUsers(); err != nil {
		return nil, err
	}
	basic, err := basicauth.New(basicauth.Config{Users: s.users, Logger: logger})
	if err != nil {
		return nil, err
	}
	return keystile.OneOf(s.keys.From(apikey.Header("X-API-Key")), s.tokens, basic), nil
}

// Wrap puts the whole chain before the routes.
func (s *Service) Wrap(next http.Handler) http.Handler { return s.chain(next) }

// ReadContacts lets only those pass who may read contacts.
func (s *Service) ReadContacts(next http.Handler) http.Handler { return s.readContacts(next) }

// Close writes down what is still in memory only.
func (s *Service) Close(ctx context.Context) error {
	return errors.Join(s.keys.Close(ctx), s.tokens.Close(ctx))
}

// style is a house's own: successes as StatusData frames them, and errors as
// problem details (RFC 9457), which tell a machine the code.
type style struct{ envelope.StatusData }

// Failure returns an error as a problem document.
func (style) Failure(e *keystile.Error) (contentType string, body []byte) {
	return envelope.Problem{}.Failure(e)
}
