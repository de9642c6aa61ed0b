package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/keystile/keystile/internal/jose"
)

// fetcher gets the JWK Set of an issuer.
type fetcher struct {
	client    *http.Client
	issuer    string
	address   string // of the set; "": ask the document
	described string // address of the document
}

const (
	maxDocument  = 1 << 20
	maxHeader    = 64 << 10
	maxRedirects = 3
)

var (
	errRedirect = errors.New("bearer: a redirect leads away from the host, from https, or in circles")
	errTooLong  = fmt.Errorf("bearer: the document is longer than %d bytes", maxDocument)
)

func newFetcher(c RemoteConfig, issuer string) fetcher {
	client := new(http.Client)
	if c.Client != nil {
		client.Transport = c.Client.Transport
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		t.DisableKeepAlives = true
		t.MaxResponseHeaderBytes = maxHeader
		client.Transport = t
	}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" || r.URL.Host != via[0].URL.Host || len(via) > maxRedirects {
			return errRedirect
		}
		return nil
	}
	f := fetcher{client: client, issuer: issuer, address: c.URL}
	if u, err := url.Parse(issuer); err == nil && c.URL == "" {
		f.described = describedAt(u, c.Discovery)
	}
	return f
}

// describedAt returns the address of the document that an issuer describes itself
// in.
func describedAt(issuer *url.URL, d Discovery) string {
	u := *issuer
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	if d == DiscoverOAuth {
		path = "/.well-known/oauth-authorization-server" + path
	} else {
		path += "/.well-known/openid-configuration"
	}
	return u.Scheme + "://" + u.Host + path
}

// fetch returns the JWK Set as it is published now. The document is asked each
// time, so that an issuer may move its keys.
func (f *fetcher) fetch(ctx context.Context) ([]byte, error) {
	address := f.address
	if address == "" {
		text, err := f.get(ctx, f.described)
		if err != nil {
			return nil, err
		}
		if address, err = f.keysAt(text); err != nil {
			return nil, fmt.Errorf("%w, in %s", err, f.described)
		}
	}
	return f.get(ctx, address)
}

// keysAt reads a document for the address of the key set. The issuer in it must
// be the one that was asked for (RFC 8414 section 3.3, OpenID Connect Discovery
// section 4.3), or else one issuer could speak for another.
func (f *fetcher) keysAt(document []byte) (string, error) {
	var issuer, address string
	err := jose.Object(document, func(name, value []byte) error {
		switch string(name) {
		case "issuer":
			issuer, _ = jose.Text(value)
		case "jwks_uri":
			address, _ = jose.Text(value)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("bearer: %w", err)
	}
	if issuer != f.issuer {
		return "", fmt.Errorf("bearer: the issuer is %.100q and not %q", issuer, f.issuer)
	}
	if _, err := secureURL(address); err != nil {
		return "", fmt.Errorf("bearer: the jwks_uri %w", err)
	}
	return address, nil
}

func (f *fetcher) get(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("bearer: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := f.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("bearer: fetching keys: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("bearer: %s answers %d", address, resp.StatusCode)
	case resp.ContentLength > maxDocument:
		return nil, errTooLong
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("bearer: reading %s: %w", address, err)
	}
	if len(text) > maxDocument {
		return nil, errTooLong
	}
	return text, nil
}
