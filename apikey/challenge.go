package apikey

import (
	"errors"
	"net/http"

	"github.com/keystile/keystile"
)

// challenges are the WWW-Authenticate values of an authenticator. Those of the
// common refusals are made once.
type challenges struct {
	apiKey, bearer bool
	plain          []string         // of a 401 that is not about a Bearer token
	made           []madeChallenges // of those that are
}

type madeChallenges struct {
	code   keystile.Code
	values []string
}

// challengeAPIKey is no registered scheme, as there is none for API keys; RFC
// 9110 section 15.5.2 wants a challenge with every 401 nevertheless.
const challengeAPIKey = "ApiKey"

func newChallenges(apiKey, bearer bool) challenges {
	c := challenges{apiKey: apiKey, bearer: bearer}
	c.plain = c.make(keystile.NoCredentials(""))
	if bearer {
		for _, code := range [...]keystile.Code{
			keystile.CodeUnauthorized, keystile.CodeKeyRevoked, keystile.CodeKeyExpired, keystile.CodeKeyDisabled, keystile.CodeInvalidRequest,
		} {
			c.made = append(c.made, madeChallenges{code, c.make(&keystile.Error{Code: code, Scheme: keystile.SchemeBearer})})
		}
	}
	return c
}

// of returns the values for err. They are shared and must not be changed.
func (c *challenges) of(err error) []string {
	e := asError(err)
	if e == nil {
		return c.plain
	}
	aboutToken := (e.Scheme == keystile.SchemeBearer || e.Scheme == keystile.SchemeJWT) && !errors.Is(e, keystile.ErrNoCredentials)
	switch {
	case e.StatusCode() == http.StatusUnauthorized && !(c.bearer && aboutToken):
		return c.plain
	case !c.bearer:
		return nil
	}
	if e.Scheme == keystile.SchemeBearer && e.Status == 0 {
		for _, m := range c.made {
			if m.code == e.Code {
				return m.values
			}
		}
	}
	return c.make(e)
}

// asError returns the *keystile.Error in err, or nil. Where err is one, as it
// nearly always is, nothing is allocated.
func asError(err error) *keystile.Error {
	if e, ok := err.(*keystile.Error); ok {
		return e
	}
	var e *keystile.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

func (c *challenges) make(e *keystile.Error) []string {
	var values []string
	if c.apiKey && e.StatusCode() == http.StatusUnauthorized {
		values = append(values, challengeAPIKey)
	}
	if c.bearer {
		if value := keystile.BearerChallenge(e); value != "" {
			values = append(values, value)
		}
	}
	return values
}
