package service

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/basicauth"
	"github.com/keystile/keystile/bearer"
)

// tokenTTL is as long as a demo may last.
const tokenTTL = 24 * time.Hour

// credential is a line of the help: its name, and what to send.
type credential struct{ name, header string }

// demo makes the credentials to play with. Each belongs to an account of its own
// name, so that one does not use up the quota of another.
func (s *Service) demo(ctx context.Context) ([]credential, error) {
	var demo []credential
	for _, d := range []struct {
		name, plan, header string
		scopes             []string
	}{
		{"free", "free", "X-API-Key: ", []string{"contacts:read"}},
		{"pro", "pro", "X-API-Key: ", []string{"contacts:*"}},
		{"expired", "pro", "X-API-Key: ", []string{"contacts:read"}},
		{"revoked", "pro", "X-API-Key: ", []string{"contacts:read"}},
		{"noscope", "pro", "X-API-Key: ", nil},
		{"bearer", "pro", "Authorization: Bearer ", []string{"contacts:read"}},
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
		demo = append(demo, credential{d.name, d.header + string(secret)})
	}
	_, token, err := s.signer.Mint(bearer.Draft{
		Subject: "jwt-user", Scopes: []string{"contacts:read"},
		Claims: map[string]any{"account": "jwt", "plan": "pro"},
	})
	if err != nil {
		return nil, err
	}
	user, password := "ada", keystile.Secret("correct horse battery staple")
	hash, err := basicauth.Hash(password)
	if err != nil {
		return nil, err
	}
	if err := s.users.Put(basicauth.User{Name: user, Hash: hash, Account: "basic", Plan: "pro", Scopes: []string{"contacts:read"}}); err != nil {
		return nil, err
	}
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + string(password)))
	return append(demo, credential{"jwt", "Authorization: Bearer " + string(token)}, credential{"basic", "Authorization: Basic " + basic}), nil
}

func printHelp(w io.Writer, demo []credential, url string) {
	for _, c := range demo {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", c.name, c.header)
	}
	_, _ = fmt.Fprintf(w, `
curl -i -H '%[1]s' %[2]s/hello
curl -i -H '%[1]s' '%[2]s/hello?sleep=5s' & sleep 1; curl -i -H '%[1]s' %[2]s/hello
curl -i -H '%[1]s' %[2]s/contacts
curl -i -H '%[3]s' %[2]s/contacts
curl -i -H '%[1]s' -d '{"name":"my key"}' %[2]s/api-keys
curl -i -H '%[1]s' %[2]s/api-keys
curl -i -H '%[4]s' %[2]s/hello
curl -i -H '%[1]s' %[2]s/panic
curl -i %[2]s/hello

ready %[2]s
`, demo[0].header, url, demo[4].header, demo[7].header)
}
