package keystile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
)

func TestSlogObserverWritesOneLine(t *testing.T) {
	who := &keystile.Principal{Subject: "key_1", CredentialID: "key_1", Account: "acme", Plan: "free", Scheme: keystile.SchemeAPIKey}
	tests := []struct {
		name  string
		event keystile.Event
		want  string
	}{
		{"accepted", keystile.Event{Kind: keystile.KindAuthenticate, Principal: who, Scheme: "apikey", Route: "GET /x", Addr: netip.MustParseAddr("192.0.2.1"), Duration: time.Millisecond, Cached: true},
			`level=DEBUG msg="keystile authenticate" code=ok subject=key_1 credential=key_1 account=acme plan=free scheme=apikey route="GET /x" addr=192.0.2.1 took=1ms cached=true`},
		{"refused", keystile.Event{Kind: keystile.KindAuthenticate, Code: keystile.CodeKeyExpired, Err: &keystile.Error{Code: keystile.CodeKeyExpired, Err: io.EOF}},
			`level=INFO msg="keystile authenticate" code=key_expired took=0s cause="keystile: key_expired: EOF"`},
		{"unavailable", keystile.Event{Kind: keystile.KindAuthenticate, Code: keystile.CodeUnavailable, Err: keystile.Unavailable(io.EOF)},
			`level=ERROR msg="keystile authenticate" code=unavailable took=0s cause="keystile: unavailable: EOF"`},
		{"a house code has its own status", keystile.Event{Kind: keystile.KindLimit, Code: "broke", Err: &keystile.Error{Code: "broke", Status: 402}},
			`level=INFO msg="keystile limit" code=broke took=0s cause="keystile: broke"`},
		{"shadowed", keystile.Event{Kind: keystile.KindLimit, Limiter: "api", Limit: "hour", Shadow: true, Code: keystile.CodeRateLimited},
			`level=WARN msg="keystile limit" code=rate_limited limiter=api limit=hour took=0s shadow=true`},
		{"degraded", keystile.Event{Kind: keystile.KindLimit, Limiter: "api", Degraded: true},
			`level=WARN msg="keystile limit" code=ok limiter=api took=0s degraded=true`},
		{"a line break in a route stays on the line", keystile.Event{Kind: keystile.KindLimit, Route: "GET /x\nlevel=ERROR"},
			`level=DEBUG msg="keystile limit" code=ok route="GET /x\nlevel=ERROR" took=0s`},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
		keystile.SlogObserver(logger).Observe(t.Context(), tt.event)
		_, line, _ := strings.Cut(b.String(), " ")
		if line != tt.want+"\n" {
			t.Errorf("%s:\n%swant\n%s", tt.name, line, tt.want)
		}
	}
	keystile.SlogObserver(nil).Observe(t.Context(), keystile.Event{}) // silent
}

func TestSecretsPrintAsRedacted(t *testing.T) {
	s := keystile.Secret("hunter2")
	p := keystile.Presented{Secret: s}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "s", s, "p", p)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "s", s, "p", p)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		_, _ = fmt.Fprintf(&b, verb+" "+verb+" "+verb, s, p, []keystile.Secret{s})
	}
	_ = json.NewEncoder(&b).Encode(map[string]any{"s": s, "p": p})
	_, _ = io.WriteString(&b, (&keystile.ConfigError{Field: "F", Value: s}).Error())
	for _, leak := range []string{"hunter2", "68756e74657232", "68756E74657232"} {
		if strings.Contains(b.String(), leak) {
			t.Errorf("%q leaks: %s", leak, b.String())
		}
	}
	if string(s) != "hunter2" {
		t.Error("the conversion is the way to the content")
	}
}

// badge is a credential with something to change in it.
type badge struct{ labels []string }

func (b *badge) CloneCredential() keystile.Credential {
	return &badge{append([]string(nil), b.labels...)}
}

func TestPrincipalsAreImmutable(t *testing.T) {
	plain := &keystile.Principal{Subject: "alice"}
	if _, ok := keystile.CredentialOf[*badge](plain); ok || plain.Credential() != nil {
		t.Error("a principal without a credential has one")
	}
	p := plain.WithCredential(&badge{[]string{"a"}})
	if plain.Credential() != nil {
		t.Error("WithCredential changed the original")
	}
	first, _ := keystile.CredentialOf[*badge](p)
	first.labels[0] = "changed"
	if second, ok := keystile.CredentialOf[*badge](p); !ok || second.labels[0] != "a" {
		t.Errorf("the credential changed from outside: %v", second)
	}
	c := p.Clone()
	c.Subject = "bob"
	if p.Subject != "alice" {
		t.Error("the clone is not apart")
	}
	joined, err := keystile.AllOf(fixed{&keystile.Principal{Subject: "key", Account: "a"}}, fixed{&keystile.Principal{Account: "a"}},
		fixed{(&keystile.Principal{Account: "a"}).WithCredential(&badge{[]string{"joined"}})}).Authenticate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := keystile.CredentialOf[*badge](joined); !ok || got.labels[0] != "joined" {
		t.Errorf("the credential of a joined principal: %v, %v", got, ok)
	}
	var nobody *keystile.Principal
	if nobody.Clone() != nil || nobody.Credential() != nil || nobody.Joined() != nil || nobody.String() != "anonymous" {
		t.Error("a nil principal is not anonymous")
	}
	if got := fmt.Sprint(p.LogValue()); !strings.Contains(got, "alice") {
		t.Error(got)
	}
}
