package bearer_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// R47: no part of a token stands in an error, a log line, or an answer, and no
// claim that might be personal.
func TestTokensStandNowhere(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	c := bearer.Config{Issuers: []bearer.Issuer{hmacIssuer()}, Opaque: &opaque{err: errors.New("no connection")}, Logger: logger}
	a := newAuthenticator(t, c)
	g, err := keystile.NewGuard(keystile.GuardConfig{Authenticator: a, Realm: "test", Observer: keystile.SlogObserver(logger)})
	if err != nil {
		t.Fatal(err)
	}
	personal := m{"email": "alice@example.com"}
	with := func(name string, value any) string { return claims(m{"email": "alice@example.com", name: value}) }
	for _, token := range []string{
		hs(claims(personal)), flipped(hs(claims(personal))), hs(with("exp", 1)), hs(with("exp", "alice@example.com")), hs(with("aud", "alice@example.com")),
		hs(with("iss", "alice@example.com")), hs(with("sub", 1)), hs(with("scope", 1)), hs(claims(personal) + "alice@example.com"),
		sign(bearer.HS256, []byte(secret), `{"alg":"HS256","kid":"alice@example.com"}`, claims(personal)),
		sign(bearer.HS256, []byte(secret), `{"alg":"alice@example.com"}`, claims(personal)),
		sign(bearer.HS256, []byte(secret), `{"alg":"HS256","typ":"alice@example.com"}`, claims(personal)),
		"acme_secret_key_0123456789", strings.Repeat("acme_secret_key_0123456789", 1000), "acme_secret_key_0123456789,",
	} {
		log.Reset()
		resp := serve(g.Wrap(served), request("Bearer "+token))
		_, err := present(a, token)
		text := fmt.Sprint(err) + fmt.Sprintf("%+v %#v", err, err) + log.String() + fmt.Sprint(resp.Header) + fmt.Sprint(mustRead(t, resp))
		for _, part := range append(strings.Split(token, "."), "alice@example.com", "acme_secret_key") {
			if len(part) > 8 && strings.Contains(text, part) {
				t.Errorf("%.20q stands in %s", part, text)
			}
		}
	}
}
