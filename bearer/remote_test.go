package bearer_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
	"github.com/keystile/keystile/internal/evidence"
)

// idp is an issuer on a local https server.
type idp struct {
	*httptest.Server
	clock  *fakeClock
	serve  atomic.Pointer[http.HandlerFunc] // the key set
	hits   atomic.Int64                     // requests for it
	sent   atomic.Int64                     // megabytes of an endless one
	config bearer.RemoteConfig              // to be changed before authenticator is called
}

func newIDP(t testing.TB, clock *fakeClock) *idp {
	p := &idp{clock: clock}
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		(*p.serve.Load())(w, r)
	})
	p.Server = httptest.NewUnstartedServer(mux)
	p.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	p.config = bearer.RemoteConfig{URL: p.URL + "/jwks", Client: p.Client()}
	return p
}

func (p *idp) handle(h http.HandlerFunc) { p.serve.Store(&h) }

func (p *idp) publish(text string) {
	p.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func (p *idp) issuer(name string) bearer.Issuer {
	is := hmacIssuer()
	is.Name, is.Algorithms, is.KeySet = name, []bearer.Algorithm{bearer.ES256}, bearer.RemoteKeys(p.config)
	return is
}

func (p *idp) authenticator(t testing.TB) *bearer.Authenticator {
	return newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{p.issuer(issuerName)}, Now: p.clock.Now})
}

// ecSet is a JWK Set of the given keys, by kid.
func ecSet(keys ...any) string {
	var all []string
	for i := 0; i < len(keys); i += 2 {
		point := string(must(keys[i+1].(*ecdsa.PrivateKey).PublicKey.Bytes()))
		all = append(all, fmt.Sprintf(`{"kty":"EC","crv":"P-256","use":"sig","kid":%q,"x":%q,"y":%q}`, keys[i], b64(point[1:33]), b64(point[33:])))
	}
	return `{"keys":[` + strings.Join(all, ",") + `]}`
}

func ecToken(kid string, key *ecdsa.PrivateKey, changes m) string {
	return sign(bearer.ES256, key, `{"alg":"ES256","kid":"`+kid+`"}`, claims(changes))
}

var secondEC = sync.OnceValue(newEC)

// wantUnavailable checks for a 503 that tells the client to come back.
func wantUnavailable(t testing.TB, what string, err error) {
	t.Helper()
	var e *keystile.Error
	if !errors.As(err, &e) || e.Code != keystile.CodeUnavailable || e.RetryAfter < time.Second || e.RetryAfter > 5*time.Second {
		t.Errorf("%s: %+v, want 503 with a Retry-After of 1 to 5 s", what, err)
	}
}

func TestKeysAreFetchedOnDemand(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.publish(ecSet("a", ecKey()))
	a := p.authenticator(t)
	if p.hits.Load() != 0 {
		t.Error("New fetches")
	}
	for i := range 5 {
		wantAccepted(t, a, ecToken("a", ecKey(), m{"jti": fmt.Sprint(i)}))
	}
	if p.hits.Load() != 1 {
		t.Errorf("%d fetches for five tokens of one key", p.hits.Load())
	}
	// A key for another algorithm is no reason to ask again, and neither is an
	// algorithm that the issuer does not use.
	for _, token := range []string{hs(claims(nil)), sign(bearer.HS256, []byte(secret), `{"alg":"HS256","kid":"b"}`, claims(nil)), flipped(ecToken("a", ecKey(), nil))} {
		p.clock.Advance(time.Minute)
		_, err := present(a, token)
		wantRefused(t, err, keystile.CodeUnauthorized, "")
	}
	if p.hits.Load() != 1 {
		t.Errorf("%d fetches", p.hits.Load())
	}
}

func TestKeysRotate(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.publish(ecSet("a", ecKey()))
	a := p.authenticator(t)
	old, next := ecToken("a", ecKey(), nil), ecToken("b", secondEC(), nil)
	wantAccepted(t, a, old)
	_, err := present(a, next)
	wantRefused(t, err, keystile.CodeUnauthorized, "no key")

	p.publish(ecSet("a", ecKey(), "b", secondEC()))
	p.clock.Advance(10 * time.Second) // MinInterval
	wantAccepted(t, a, next)
	wantAccepted(t, a, old)

	// The old key is removed: at the latest after twice RefreshAfter it is dead, for
	// a remembered token too (jwkset, CVE-2025-22149).
	p.publish(ecSet("b", secondEC()))
	p.clock.Advance(10 * time.Minute)
	_, err = present(a, old)
	wantRefused(t, err, keystile.CodeUnauthorized, "no key")
	wantAccepted(t, a, next)
	// A token that says nothing of its key is tried with those that are there.
	wantAccepted(t, a, sign(bearer.ES256, secondEC(), `{"alg":"ES256"}`, claims(nil)))
	_, err = present(a, sign(bearer.ES256, ecKey(), `{"alg":"ES256"}`, claims(nil)))
	wantRefused(t, err, keystile.CodeUnauthorized, "no key verifies")
}

// With steady traffic nobody waits: who finds the keys old sends for new ones and
// goes on. The removed key is dead once they are there.
func TestKeysAreRefreshedBesides(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.publish(ecSet("a", ecKey()))
	a := p.authenticator(t)
	token := ecToken("a", ecKey(), nil)
	wantAccepted(t, a, token)

	release, arrived := make(chan struct{}), make(chan struct{})
	p.handle(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, ecSet("b", secondEC()))
	})
	p.clock.Advance(5 * time.Minute)
	for range 3 {
		wantAccepted(t, a, token)
	}
	<-arrived
	wantAccepted(t, a, ecToken("a", ecKey(), m{"jti": "another"}))
	close(release)
	// A kid that nobody knows waits for the fetch that is on its way.
	wantAccepted(t, a, ecToken("b", secondEC(), nil))
	_, err := present(a, token)
	wantRefused(t, err, keystile.CodeUnauthorized, "no key")
	if p.hits.Load() != 2 {
		t.Errorf("%d fetches", p.hits.Load())
	}
}

// A redirect within the host is followed.
func TestARedirectWithinTheHost(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			http.Redirect(w, r, "/jwks?moved", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, ecSet("a", ecKey()))
	})
	wantAccepted(t, p.authenticator(t), ecToken("a", ecKey(), nil))
}

// Without a port in the address, http is on another one of the same host.
func TestARedirectToHTTPOnTheSameHost(t *testing.T) {
	p := newIDP(t, newFakeClock())
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, ecSet("a", ecKey()))
	}))
	defer plain.Close()
	p.handle(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.com/jwks", http.StatusFound)
	})
	transport := p.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		to := map[string]string{"example.com:443": p.Listener.Addr().String(), "example.com:80": plain.Listener.Addr().String()}[address]
		return new(net.Dialer).DialContext(ctx, network, to)
	}
	p.config.URL, p.config.Client = "https://example.com/jwks", &http.Client{Transport: transport}
	_, err := present(p.authenticator(t), ecToken("a", ecKey(), nil))
	wantUnavailable(t, "a redirect to http", err)
	if p.hits.Load() != 1 {
		t.Errorf("%d requests", p.hits.Load())
	}
}

// A server whose certificate nobody vouches for is an outage.
func TestACertificateOfNobody(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.publish(ecSet("a", ecKey()))
	p.config.Client = nil
	_, err := present(p.authenticator(t), ecToken("a", ecKey(), nil))
	wantUnavailable(t, "an unknown certificate", err)
	if p.hits.Load() != 0 {
		t.Error("a request was sent")
	}
}

// However many ask at once, one fetch is sent; whoever gives up, gives up alone.
func TestConcurrentRequestsShareAFetch(t *testing.T) {
	p := newIDP(t, newFakeClock())
	release := make(chan struct{})
	p.handle(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, ecSet("a", ecKey()))
	})
	a := p.authenticator(t)
	token := ecToken("a", ecKey(), nil)

	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := a.Authenticate(request("Bearer " + token).WithContext(impatient))
		first <- err
	}()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := present(a, token); err != nil {
				t.Error(err)
			}
		})
	}
	cancel()
	wantUnavailable(t, "who gave up", <-first)
	close(release)
	wg.Wait()
	if p.hits.Load() != 1 {
		t.Errorf("%d fetches", p.hits.Load())
	}
}

// A flood of kids that nobody has heard of: at most one fetch in an interval, and
// nobody waits for one to be allowed.
func TestRandomKidsCauseFewFetches(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.publish(ecSet("a", ecKey()))
	a := p.authenticator(t)
	parts := strings.Split(ecToken("a", ecKey(), nil), ".")
	good := strings.Join(parts, ".")
	wantAccepted(t, a, good)
	count := evidence.Count(5_000, 100_000)
	const step = 25 * time.Millisecond
	for i := range count {
		token := b64(fmt.Sprintf(`{"alg":"ES256","kid":"random-%d"}`, i)) + "." + parts[1] + "." + parts[2]
		_, err := present(a, token)
		wantRefused(t, err, keystile.CodeUnauthorized, "no key")
		p.clock.Advance(step)
		if i%500 == 0 {
			if _, err := present(a, ecToken("a", ecKey(), m{"exp": p.clock.Now().Add(time.Hour).Unix()})); err != nil {
				t.Errorf("a good token after %d random kids: %v", i, err)
			}
		}
	}
	elapsed := time.Duration(count) * step
	if limit := int64(elapsed/(10*time.Second)) + 1; p.hits.Load() > limit {
		t.Errorf("%d fetches in %v, want at most %d", p.hits.Load(), elapsed, limit)
	}
	evidence.Report(t, "bearer", "Tokens with random kids", [][2]string{
		{"tokens", fmt.Sprint(count)}, {"time of the clock", elapsed.String()}, {"fetches", fmt.Sprint(p.hits.Load())},
		{"elapsed / interval + 1", fmt.Sprint(int64(elapsed/(10*time.Second)) + 1)},
	})
}

// While the issuer is down, a flood causes no more fetches than otherwise.
func TestAFloodDuringAnOutage(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	a := p.authenticator(t)
	for i := range 1000 {
		_, err := present(a, ecToken(fmt.Sprint("random-", i), ecKey(), nil))
		wantUnavailable(t, "an unknown kid", err)
		p.clock.Advance(20 * time.Millisecond)
	}
	if p.hits.Load() > 3 {
		t.Errorf("%d fetches in 20 s", p.hits.Load())
	}
}

// R27: a kid means something within its issuer only (Centrifugo, CVE-2026-49998).
func TestTwoIssuersWithOneKid(t *testing.T) {
	clock := newFakeClock()
	one, two := newIDP(t, clock), newIDP(t, clock)
	one.publish(ecSet("1", ecKey()))
	two.publish(ecSet("1", secondEC()))
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{one.issuer("https://one.example"), two.issuer("https://two.example")}, Now: clock.Now})
	for range 2 {
		for _, tt := range []struct {
			iss  string
			key  *ecdsa.PrivateKey
			good bool
		}{
			{"https://one.example", ecKey(), true}, {"https://two.example", secondEC(), true},
			{"https://one.example", secondEC(), false}, {"https://two.example", ecKey(), false},
		} {
			p, err := present(a, ecToken("1", tt.key, m{"iss": tt.iss}))
			if tt.good && (err != nil || p.Subject != tt.iss+"#alice") {
				t.Errorf("%s: %v, %v", tt.iss, p, err)
			} else if !tt.good {
				wantRefused(t, err, keystile.CodeUnauthorized, "no key verifies")
			}
		}
	}
	if one.hits.Load() != 1 || two.hits.Load() != 1 {
		t.Errorf("%d and %d fetches", one.hits.Load(), two.hits.Load())
	}
	// A kid that one of them does not know is asked of that one.
	clock.Advance(time.Minute)
	_, err := present(a, ecToken("2", ecKey(), m{"iss": "https://two.example"}))
	wantRefused(t, err, keystile.CodeUnauthorized, "no key")
	if one.hits.Load() != 1 || two.hits.Load() != 2 {
		t.Errorf("%d and %d fetches", one.hits.Load(), two.hits.Load())
	}
	// An outage of one is none of the other.
	two.handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	clock.Advance(2 * time.Hour)
	late := m{"iss": "https://two.example", "exp": clock.Now().Add(time.Hour).Unix()}
	_, err = present(a, ecToken("1", secondEC(), late))
	wantUnavailable(t, "the one that is down", err)
	late["iss"] = "https://one.example"
	wantAccepted(t, a, ecToken("1", ecKey(), late))
}

func TestCloseEndsFetches(t *testing.T) {
	p := newIDP(t, newFakeClock())
	arrived := make(chan struct{})
	p.handle(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	a := p.authenticator(t)
	result := make(chan error)
	go func() {
		_, err := present(a, ecToken("a", ecKey(), nil))
		result <- err
	}()
	<-arrived
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wantUnavailable(t, "a fetch that was cut short", <-result)
	p.clock.Advance(time.Minute)
	_, err := present(a, ecToken("a", ecKey(), nil))
	wantUnavailable(t, "after Close", err)
	if !errors.Is(err, bearer.ErrClosed) || p.hits.Load() != 1 {
		t.Errorf("%v, %d fetches", err, p.hits.Load())
	}
}

// panicking is a transport that does what no transport should.
type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("out of order") }

func TestAPanicInTheClientIsAnOutage(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.config.Client = &http.Client{Transport: panicking{}}
	_, err := present(p.authenticator(t), ecToken("a", ecKey(), nil))
	wantUnavailable(t, "a panic", err)
}

func TestWhatIsWrongWithAKeySetIsLogged(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.publish(`{"keys":[{"kty":"RSA","kid":"weak","e":"AQAB","n":"` + b64(string(weakRSA().N.Bytes())) + `"},` + ecSet("a", ecKey())[len(`{"keys":[`):])
	var log strings.Builder
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{p.issuer(issuerName)}, Now: p.clock.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	wantAccepted(t, a, ecToken("a", ecKey(), nil))
	if !strings.Contains(log.String(), "shorter than 2048") || !strings.Contains(log.String(), issuerName) {
		t.Error(log.String())
	}
}
