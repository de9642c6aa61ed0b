package apikey

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"

	"github.com/keystile/keystile"
)

// From returns an Authenticator that takes the key from one or more places:
//
//	guard, err := keystile.NewGuard(keystile.GuardConfig{
//		Authenticator: keys.From(apikey.Header("X-API-Key"), apikey.Bearer()),
//		Realm:         "acme",
//	})
//
// An empty field counts as absent. All places that hold something must hold the
// same key, and none may hold two: else 400 invalid_request. The scheme of the
// principal is SchemeBearer where the key came as Bearer alone, else
// SchemeAPIKey.
//
// No place, one that is listed twice, and the mistakes that the places carry are
// reported by NewGuard.
func (v *Verifier) From(places ...Place) keystile.Authenticator {
	a := &authenticator{verifier: v, places: slices.Clone(places), absent: absentBearer}
	a.err = a.check()
	other := slices.ContainsFunc(places, func(p Place) bool { return p.kind != placeBearer })
	bearer := slices.ContainsFunc(places, func(p Place) bool { return p.kind == placeBearer })
	if other {
		a.absent = absentAPIKey
	}
	a.challenges = newChallenges(other, bearer)
	return a
}

// authenticator is what From returns.
type authenticator struct {
	verifier   *Verifier
	places     []Place
	absent     *keystile.Error
	challenges challenges
	err        error
}

var (
	absentAPIKey = keystile.NoCredentials(keystile.SchemeAPIKey)
	absentBearer = keystile.NoCredentials(keystile.SchemeBearer)

	errBearerGrammar = badRequest(keystile.SchemeBearer, "The Authorization field is malformed.")
	errBearerTwice   = badRequest(keystile.SchemeBearer, "Send one Authorization field, not several.")
	errKeyMalformed  = badRequest(keystile.SchemeAPIKey, "The place of the key is malformed.")
	errKeyTwice      = badRequest(keystile.SchemeAPIKey, "Send the key once, not several times.")
	errKeysDiffer    = badRequest(keystile.SchemeAPIKey, "The request carries different keys. Send one.")
	errBearerDiffers = badRequest(keystile.SchemeBearer, "The request carries different keys. Send one.") // RFC 6750 section 3.1: more than one method
)

func badRequest(scheme keystile.Scheme, detail string) *keystile.Error {
	return &keystile.Error{Code: keystile.CodeInvalidRequest, Scheme: scheme, Detail: detail}
}

// ConfigErr returns all mistakes in the arguments of From, or nil.
func (a *authenticator) ConfigErr() error { return a.err }

func (a *authenticator) check() error {
	var m mistakes
	if a.verifier == nil || a.verifier.finder == nil {
		m.add("apikey.From", nil, "is called on the zero value; make it with apikey.New or apikey.NewVerifier")
	}
	if len(a.places) == 0 {
		m.add("apikey.From", nil, `names no place, so that nobody could get in; pass one such as apikey.Header("X-API-Key")`)
	}
	for i, p := range a.places {
		m.join(p.ConfigErr())
		if slices.ContainsFunc(a.places[:i], func(q Place) bool { return q.kind == p.kind && q.name == p.name }) {
			m.add(fmt.Sprintf("apikey.From[%d]", i), p.name, "is listed before; list each place once")
		}
	}
	return m.err()
}

// Present implements keystile.Authenticator.
func (a *authenticator) Present(r *http.Request) bool {
	for i := range a.places {
		if _, found := a.places[i].find(r); found != nothing {
			return true
		}
	}
	return false
}

// Authenticate implements keystile.Authenticator.
func (a *authenticator) Authenticate(r *http.Request) (*keystile.Principal, error) {
	if a.err != nil {
		return nil, &keystile.Error{Code: keystile.CodeInternal, Err: a.err}
	}
	secret, scheme, refused := a.extract(r)
	if refused != nil {
		return nil, refused
	}
	return a.verifier.verify(r.Context(), secret, scheme, where{r: r})
}

// extract returns the one key that r carries and how it came.
func (a *authenticator) extract(r *http.Request) (secret string, scheme keystile.Scheme, refused *keystile.Error) {
	asBearer, elsewhere := false, false
	for i := range a.places {
		p := &a.places[i]
		s, found := p.find(r)
		if found == nothing {
			continue
		}
		seen := asBearer || elsewhere
		if p.kind == placeBearer {
			asBearer = true
		} else {
			elsewhere = true
		}
		switch {
		case found == malformed && p.kind == placeBearer:
			return "", "", errBearerGrammar
		case found == malformed:
			return "", "", errKeyMalformed
		case found == twice && p.kind == placeBearer:
			return "", "", errBearerTwice
		case found == twice:
			return "", "", errKeyTwice
		case !seen:
			secret = s
		case sameSecret(secret, s):
		case asBearer:
			return "", "", errBearerDiffers
		default:
			return "", "", errKeysDiffer
		}
	}
	switch {
	case elsewhere:
		return secret, keystile.SchemeAPIKey, nil
	case asBearer:
		return secret, keystile.SchemeBearer, nil
	}
	return "", "", a.absent
}

// sameSecret reports whether two places hold the same. What is too long to be a
// key is not worth comparing: it is refused all the same.
func sameSecret(a, b string) bool {
	return len(a) == len(b) && (len(a) > MaxSecret || subtle.ConstantTimeCompare(bytesOf(a), bytesOf(b)) == 1)
}

// Challenges implements keystile.Authenticator.
func (a *authenticator) Challenges(_ *http.Request, err error) []string {
	return a.challenges.of(err)
}
