package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// RemoteConfig says how the keys of an issuer are fetched.
type RemoteConfig struct {
	// URL is the https address of the JWK Set. Required, unless Discovery is set.
	URL string
	// Discovery finds that address in a document of the issuer, which must say the
	// same Issuer.Name of itself. Required, unless URL is set.
	Discovery Discovery
	// Client sends the requests. Its CheckRedirect, Timeout and Jar are not used: no
	// redirect leaves the host or https. Default: a client of its own that keeps no
	// connection open, with the proxy of the environment.
	Client *http.Client

	// RefreshAfter is the age at which keys are fetched again. A request finds that
	// out; it and others go on with the keys in hand meanwhile, unless nobody has
	// asked for so long that they are twice as old: then they wait, so that a key
	// which the issuer has removed is refused after twice this time, as long as the
	// issuer answers. Default: 5 min.
	RefreshAfter time.Duration
	// MinInterval is the shortest time between two fetches, whatever the reason:
	// tokens with kids that nobody has heard of cause at most one in it. At most
	// RefreshAfter. Default: 10 s.
	MinInterval time.Duration
	// MaxAge is how long keys are in force that could not be fetched again. Then
	// every token of the issuer is answered with 503. Default: 1 h.
	MaxAge time.Duration
	// Timeout bounds one fetch, discovery included: at most 5 s. Default: 5 s.
	Timeout time.Duration
}

// Discovery is where an issuer describes itself.
type Discovery uint8

const (
	// DiscoverOpenID is OpenID Connect Discovery 1.0 section 4:
	// {issuer}/.well-known/openid-configuration.
	DiscoverOpenID Discovery = iota + 1
	// DiscoverOAuth is RFC 8414 section 3: /.well-known/oauth-authorization-server
	// between the host and the path of the issuer.
	DiscoverOAuth
)

const (
	defaultRefreshAfter = 5 * time.Minute
	defaultMinInterval  = 10 * time.Second
	defaultMaxAge       = time.Hour
	maxFetch            = 5 * time.Second
)

// RemoteKeys is a JWK Set that the issuer publishes. It is fetched over https,
// first when a token is to be verified. Only public keys in it count. A set that
// cannot be fetched, or that has no usable key, replaces nothing: the keys in hand
// stay in force until MaxAge. A key that is no longer in a good one is refused.
//
// A token whose kid is new causes a fetch; one without kid is tried with the keys
// in hand. An issuer that replaces its keys should therefore name them.
func RemoteKeys(c RemoteConfig) KeySet {
	return KeySet{func(o opening) (source, error) {
		var m mistakes
		c.check(&m, o)
		if len(m) > 0 {
			return nil, m.err()
		}
		c := c
		c.RefreshAfter = orElse(c.RefreshAfter, defaultRefreshAfter)
		c.MinInterval = orElse(c.MinInterval, min(defaultMinInterval, c.RefreshAfter))
		c.MaxAge = orElse(c.MaxAge, max(defaultMaxAge, 2*c.RefreshAfter))
		c.Timeout = orElse(c.Timeout, maxFetch)
		return newRemoteKeys(c, o), nil
	}}
}

func (c *RemoteConfig) check(m *mistakes, o opening) {
	at := o.field + ": bearer.RemoteConfig."
	switch {
	case c.URL == "" && c.Discovery == 0:
		m.add(at+"URL", nil, "is empty and Discovery is not set; give the https address of the JWK Set, or set Discovery to DiscoverOpenID")
	case c.URL != "" && c.Discovery != 0:
		m.add(at+"URL", c.URL, "is set besides Discovery; set one of them")
	case c.URL != "":
		if _, err := secureURL(c.URL); err != nil {
			m.add(at+"URL", c.URL, err.Error())
		}
	case c.Discovery > DiscoverOAuth:
		m.add(at+"Discovery", int(c.Discovery), "is unknown; use DiscoverOpenID or DiscoverOAuth")
	default:
		if u, err := secureURL(o.issuer); err != nil {
			m.add(at+"Discovery", o.issuer, "needs an Issuer.Name to ask: it "+err.Error())
		} else if u.RawQuery != "" {
			m.add(at+"Discovery", o.issuer, "needs an Issuer.Name without a query (RFC 8414 section 2)")
		}
	}
	for _, a := range o.algorithms {
		if a.MinSecret() > 0 {
			m.add(o.field+": bearer.RemoteKeys", string(a), "uses a shared secret, which nobody can publish; use StaticKeys or KeyFile for it")
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"RefreshAfter", c.RefreshAfter}, {"MinInterval", c.MinInterval}, {"MaxAge", c.MaxAge}, {"Timeout", c.Timeout}} {
		if d.value < 0 {
			m.add(at+d.field, d.value, "is negative; use a positive duration, or 0 for the default")
		}
	}
	if c.Timeout > maxFetch {
		m.add(at+"Timeout", c.Timeout, "is longer than 5 s, for which requests would wait; use 5 s or less")
	}
	refresh := orElse(c.RefreshAfter, defaultRefreshAfter)
	if interval := orElse(c.MinInterval, min(defaultMinInterval, refresh)); interval > refresh {
		m.add(at+"MinInterval", c.MinInterval, fmt.Sprintf("is longer than RefreshAfter, which it would override; use at most %v", refresh))
	}
	if c.MaxAge > 0 && c.MaxAge < refresh {
		m.add(at+"MaxAge", c.MaxAge, fmt.Sprintf("is shorter than RefreshAfter, so that requests would wait for a fetch again and again; use at least %v", refresh))
	}
}

// secureURL reads an https address that keys may come from.
func secureURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL; write it as https://host/path")
	case u.Scheme != "https":
		return nil, errors.New("is not an https address, and whoever answers another one chooses the keys; use https")
	case u.Host == "" || u.Opaque != "":
		return nil, errors.New("names no host; write it as https://host/path")
	case u.User != nil:
		return nil, errors.New("holds a user name; leave it out")
	case u.Fragment != "":
		return nil, errors.New("has a fragment, which is never sent; leave it out")
	}
	return u, nil
}
