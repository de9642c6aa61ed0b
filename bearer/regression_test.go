package bearer_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// Each test here is about an advisory or a bug of somebody else's.

// golang-jwt, CVE-2025-30204: a token of nothing but dots was split into as many
// strings. Here the size is capped, and no more than two dots are looked for.
func TestCVE_2025_30204_ADotForEveryByte(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{})
	for _, size := range []int{bearer.MaxToken, 1 << 20} {
		r := request("Bearer " + strings.Repeat(".", size))
		if allocs := testing.AllocsPerRun(20, func() {
			if _, err := a.Authenticate(r); err == nil {
				t.Fatal("accepted")
			}
		}); allocs > 2 {
			t.Errorf("%d dots: %v allocations", size, allocs)
		}
	}
}

// golang-jwt, CVE-2024-51744: an expired token with a bad signature was reported
// as expired, and who looked for that only let it in. Here the claims are not read
// before the signature has been verified.
func TestCVE_2024_51744_AnExpiredTokenWithABadSignature(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{})
	expired := hs(claims(m{"exp": 1}))
	_, err := present(a, expired)
	wantRefused(t, err, keystile.CodeKeyExpired, "expired")
	for _, token := range []string{flipped(expired), sign(bearer.HS256, []byte("x"+secret), ordinary, claims(m{"exp": 1})), hs("{")[:20] + "." + b64("{") + ".AAAA"} {
		_, err := present(a, token)
		wantRefused(t, err, keystile.CodeUnauthorized, "")
	}
}

// jwkset, CVE-2025-22149: a key that its issuer had removed stayed trusted. Here it
// is dead after the next fetch, for tokens that are remembered too.
func TestCVE_2025_22149_ARemovedKey(t *testing.T) {
	p := newIDP(t, newFakeClock())
	p.publish(ecSet("a", ecKey(), "b", secondEC()))
	a := p.authenticator(t)
	token := ecToken("a", ecKey(), nil)
	for range 2 {
		wantAccepted(t, a, token)
	}
	p.publish(ecSet("b", secondEC()))
	p.clock.Advance(10 * time.Second)
	if _, err := present(a, ecToken("unknown", ecKey(), nil)); err == nil { // makes it fetch
		t.Fatal("accepted")
	}
	_, err := present(a, token)
	wantRefused(t, err, keystile.CodeUnauthorized, "no key")
	// The same name with another key is another key.
	p.publish(ecSet("b", ecKey()))
	p.clock.Advance(20 * time.Minute)
	_, err = present(a, ecToken("b", secondEC(), nil))
	wantRefused(t, err, keystile.CodeUnauthorized, "no key verifies")
}

// Centrifugo, CVE-2026-49998: keys were cached by kid alone, so one issuer's key
// verified another's tokens. See also TestTwoIssuersWithOneKid.
func TestCVE_2026_49998_AKidIsOfOneIssuer(t *testing.T) {
	clock := newFakeClock()
	good, evil := newIDP(t, clock), newIDP(t, clock)
	good.publish(ecSet("k", ecKey()))
	evil.publish(ecSet("k", secondEC()))
	a := newAuthenticator(t, bearer.Config{Issuers: []bearer.Issuer{good.issuer("https://good.example"), evil.issuer("https://evil.example")}, Now: clock.Now})
	wantAccepted(t, a, ecToken("k", secondEC(), m{"iss": "https://evil.example"})) // its key is known now
	_, err := present(a, ecToken("k", secondEC(), m{"iss": "https://good.example"}))
	wantRefused(t, err, keystile.CodeUnauthorized, "no key verifies")
}

// MinIO, CVE-2026-33322: the public key of an identity provider worked as the
// secret of HMAC. See also TestAlgorithmConfusion.
func TestCVE_2026_33322_APublicKeyIsNoSecret(t *testing.T) {
	p := newIDP(t, newFakeClock())
	set := ecSet("a", ecKey())
	p.publish(set)
	a := p.authenticator(t)
	wantAccepted(t, a, ecToken("a", ecKey(), nil))
	point := string(must(ecKey().PublicKey.Bytes()))
	for _, secret := range []string{set, point, point[1:33], point[33:], b64(point[1:33]), ""} {
		for _, header := range []string{`{"alg":"HS256","kid":"a"}`, `{"alg":"HS256"}`} {
			_, err := present(a, sign(bearer.HS256, []byte(secret), header, claims(nil)))
			wantRefused(t, err, keystile.CodeUnauthorized, "does not sign with")
		}
	}
}

// APISIX, CVE-2026-39999: the algorithm came from the token. Here each issuer's
// list decides, and a key's own.
func TestCVE_2026_39999_TheTokenDoesNotChooseTheAlgorithm(t *testing.T) {
	a := newAuthenticator(t, withIssuer(func(is *bearer.Issuer) {
		is.Algorithms = []bearer.Algorithm{bearer.RS256}
		is.KeySet = bearer.StaticKeys(bearer.Key{Public: &rsaKey().PublicKey})
	}))
	for _, alg := range []bearer.Algorithm{bearer.RS384, bearer.RS512, bearer.PS256, bearer.PS384, bearer.PS512} {
		_, err := present(a, sign(alg, rsaKey(), fmt.Sprintf(`{"alg":%q}`, alg), claims(nil)))
		wantRefused(t, err, keystile.CodeUnauthorized, "does not sign with")
	}
	// golang-jwt by itself: HS512 where HS256 is meant.
	_, err := present(newAuthenticator(t, bearer.Config{}), sign(bearer.HS512, []byte(secret), `{"alg":"HS512"}`, claims(nil)))
	wantRefused(t, err, keystile.CodeUnauthorized, "does not sign with")
}

// Oathkeeper, CVE-2026-33496: what had been verified for one rule was remembered
// for another, with other demands. Here a memory belongs to one configuration.
func TestCVE_2026_33496_WhatIsRememberedIsForOneAudience(t *testing.T) {
	configure := func(audience string, profile bearer.Profile) *bearer.Authenticator {
		return newAuthenticator(t, withIssuer(func(is *bearer.Issuer) { is.Audience, is.Profile = []string{audience}, profile }))
	}
	token := hs(claims(nil))
	first := configure(service, bearer.ProfileJWT)
	for range 2 {
		wantAccepted(t, first, token)
	}
	for _, other := range []*bearer.Authenticator{configure("https://other.example", bearer.ProfileJWT), configure(service, bearer.ProfileAccessToken)} {
		if _, err := present(other, token); err == nil {
			t.Error("accepted elsewhere")
		}
	}
}

// golang-jwt by itself demands neither exp nor aud nor iss.
func TestWhatGolangJWTDoesNotDemand(t *testing.T) {
	a := newAuthenticator(t, bearer.Config{})
	for _, name := range []string{"exp", "aud", "iss", "sub"} {
		if _, err := present(a, hs(claims(m{name: nil}))); err == nil {
			t.Errorf("a token without %s is accepted", name)
		}
	}
}

// A limiter that made requests wait for minutes until a key set might be fetched
// again: nobody waits here for an interval to end.
func TestNobodyWaitsForAnInterval(t *testing.T) {
	p := newIDP(t, newFakeClock()) // whose clock stands still: who waits, waits for ever
	p.publish(ecSet("a", ecKey()))
	a := p.authenticator(t)
	var answered atomic.Int64
	for i := range 50 {
		if _, err := present(a, ecToken(fmt.Sprint("unknown-", i), ecKey(), nil)); err != nil {
			answered.Add(1)
		}
	}
	if answered.Load() != 50 || p.hits.Load() != 1 {
		t.Errorf("%d answers, %d fetches", answered.Load(), p.hits.Load())
	}
}
