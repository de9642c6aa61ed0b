package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// credential is a line of the help: what to send, and what it is called.
type credential struct {
	name, header string
	secret       keystile.Secret
}

func (c credential) String() string {
	if c.header == "Authorization" {
		return "Authorization: Bearer " + string(c.secret)
	}
	return c.header + ": " + string(c.secret)
}

// demo issues the credentials to play with. Each belongs to an account of its
// own, so that one does not use up the quota of another.
func (s *service) demo(ctx context.Context) ([]credential, error) {
	var demo []credential
	for _, d := range []struct {
		name, plan, header string
		scopes             []string
	}{
		{"free", "free", "X-API-Key", []string{"contacts:read"}},
		{"pro", "pro", "X-API-Key", []string{"contacts:*"}},
		{"expired", "pro", "X-API-Key", []string{"contacts:read"}},
		{"revoked", "pro", "X-API-Key", []string{"contacts:read"}},
		{"noscope", "pro", "X-API-Key", nil},
		{"bearer", "pro", "Authorization", []string{"contacts:read"}},
	} {
		key, secret, err := s.keys.Issue(ctx, apikey.Draft{Account: d.name, Name: d.name, Plan: d.plan, Scopes: d.scopes})
		if err != nil {
			return nil, err
		}
		switch d.name {
		case "expired":
			_, err = s.keys.Edit(ctx, key.ID, func(k *apikey.Key) error { k.ExpiresAt = time.Now().Add(-time.Hour); return nil })
		case "revoked":
			err = s.keys.Revoke(ctx, key.ID, "to show what happens")
		}
		if err != nil {
			return nil, err
		}
		demo = append(demo, credential{d.name, d.header, secret})
	}
	return demo, nil
}

func printHelp(w io.Writer, demo []credential, url string) {
	for _, c := range demo {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", c.name, c)
	}
	free := demo[0]
	_, _ = fmt.Fprintf(w, `
curl -i -H '%[1]s' %[2]s/hello
curl -i -H '%[1]s' '%[2]s/hello?sleep=5s' & sleep 1; curl -i -H '%[1]s' %[2]s/hello
curl -i -H '%[1]s' %[2]s/contacts
curl -i -H '%[3]s' %[2]s/contacts
curl -i -H '%[1]s' -d '{"name":"my key"}' %[2]s/api-keys
curl -i -H '%[1]s' %[2]s/api-keys
curl -i %[2]s/hello

ready %[2]s
`, free, url, demo[4])
}
