package examples_test

import (
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/adapters/echoadapter"
	"github.com/keystile/keystile/adapters/ginadapter"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/basicauth"
	"github.com/keystile/keystile/bearer"
	"github.com/keystile/keystile/envelope"
	"github.com/keystile/keystile/limiter"
)

// README begins.

func newGinRouter(env *envelope.Envelope, guard *keystile.Guard, limits *limiter.Limiter) *gin.Engine {
	router := gin.New()
	router.HandleMethodNotAllowed = true // 405, not 404, where the path is known
	router.RedirectTrailingSlash = false // a redirect would come before the Guard
	router.Use(ginadapter.Wrap(keystile.Chain(env.Wrap, guard.Wrap, limits.Wrap)))
	router.GET("/hello/:name", func(c *gin.Context) {
		p, _ := ginadapter.Principal(c)
		c.JSON(http.StatusOK, gin.H{"account": p.Account, "name": c.Param("name")})
	})
	return router
}

// README ends.

// README begins.

func newEchoRouter(env *envelope.Envelope, guard *keystile.Guard, limits *limiter.Limiter) *echo.Echo {
	e := echo.New()
	e.Use(echoadapter.Wrap(keystile.Chain(env.Wrap, guard.Wrap, limits.Wrap)))
	e.GET("/hello/:name", func(c echo.Context) error {
		p, _ := echoadapter.Principal(c)
		return c.JSON(http.StatusOK, map[string]string{"account": p.Account, "name": c.Param("name")})
	})
	return e
}

// README ends.

// README begins.

func keysOrTokens(keys *apikey.Keys, public *ecdsa.PublicKey) (keystile.Authenticator, error) {
	tokens, err := bearer.New(bearer.Config{
		Opaque: keys, // a Bearer token that is no JWT is a key
		Issuers: []bearer.Issuer{{
			Name: "https://login.example.com", Audience: []string{"https://api.example.com"}, Algorithms: []bearer.Algorithm{bearer.ES256},
			KeySet:    bearer.StaticKeys(bearer.Key{ID: "2026-01", Public: public}), // or bearer.RemoteKeys
			Principal: bearer.Mapping{Account: "org_id", Plan: "plan"},
		}},
	})
	return keystile.AnyOf(keys.From(apikey.Header("X-API-Key")), tokens), err
}

// README ends.

// README begins.

func keyAndPassword(keys *apikey.Keys, users basicauth.Users) (keystile.Authenticator, error) {
	passwords, err := basicauth.New(basicauth.Config{Users: users})
	// Both, and both of one account.
	return keystile.AllOf(keys.From(apikey.Header("X-API-Key")), passwords), err
}

// README ends.

// What the README shows is what stands between the marks in these files.
func TestTheReadmeShowsTheseFunctions(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("readme*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(source), "\n// README begins.\n\n") {
			fragment, _, found := strings.Cut(part, "\n// README ends.")
			if i == 0 || !found {
				continue
			}
			shown++
			if !strings.Contains(string(readme), "```go\n"+fragment+"```\n") {
				t.Errorf("%s: README.md does not show this:\n%s", file, fragment)
			}
			if lines := strings.Count(fragment, "\n"); lines > 25 {
				t.Errorf("%s: %d lines are too many for the README:\n%s", file, lines, fragment)
			}
		}
	}
	if want := 5; shown != want {
		t.Errorf("%d fragments, want %d", shown, want)
	}
}

func TestTheReadmesRouters(t *testing.T) {
	mux := http.NewServeMux()
	_, keys, err := newHandler(mux)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keys.Close(t.Context()) }()
	env, err := envelope.New(envelope.Config{Style: envelope.StatusData{}})
	if err != nil {
		t.Fatal(err)
	}
	private := newSigningKey(t)
	users, err := basicauth.NewMemoryUsers()
	if err != nil {
		t.Fatal(err)
	}
	either, err := keysOrTokens(keys, &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	both, err := keyAndPassword(keys, users)
	if err != nil {
		t.Fatal(err)
	}
	counters, err := limiter.NewMemoryStore(limiter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := limiter.New(limiter.Config{Name: "api", Store: counters, By: limiter.ByAccount, OnStoreError: limiter.Deny, Limits: []limiter.Limit{limiter.PerHour(100)}})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := keys.Issue(t.Context(), apikey.Draft{Account: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		auth   keystile.Authenticator
		status int
		body   string
	}{
		{either, 200, `{"status":"success","data":{"account":"ada","name":"x"}}`},
		{both, 401, `{"status":"error","message":"Valid credentials are required.","data":null}`},
	} {
		guard, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: tt.auth, Realm: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		for name, h := range map[string]http.Handler{"gin": newGinRouter(env, guard, limits), "echo": newEchoRouter(env, guard, limits)} {
			if got := ask(h, string(secret)); got != fmt.Sprintf("%d %s", tt.status, tt.body) {
				t.Errorf("%s: %s, want %d %s", name, got, tt.status, tt.body)
			}
		}
	}
}
