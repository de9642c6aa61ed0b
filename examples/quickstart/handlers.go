package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// hello says who is calling. With ?sleep=2s it takes its time, at most 10
// seconds, so that a second request at once can be tried.
func (s *service) hello(w http.ResponseWriter, r *http.Request) {
	if wait, err := time.ParseDuration(r.URL.Query().Get("sleep")); err == nil {
		select {
		case <-time.After(min(wait, 10*time.Second)):
		case <-r.Context().Done():
		}
	}
	p, _ := keystile.PrincipalFrom(r.Context())
	answer(w, http.StatusOK, map[string]any{
		"message": "Hello, " + p.Account + "!",
		"account": p.Account,
		"plan":    p.Plan,
		"scheme":  p.Scheme,
	})
}

func (s *service) contacts(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, []map[string]string{
		{"name": "Ada Lovelace", "email": "ada@example.com"},
		{"name": "Grace Hopper", "email": "grace@example.com"},
	})
}

// maxBody is plenty for a name.
const maxBody = 4 << 10

// createKey makes a key that can do no more than the caller's own: same
// account, plan and scopes, same expiry and restrictions. The account comes from
// the caller, never from the body.
func (s *service) createKey(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name string `json:"name"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		keystile.RespondError(w, r, badBody(err))
		return
	}
	body.Name = strings.TrimSpace(body.Name)
	if n := utf8.RuneCountInString(body.Name); n == 0 || n > 100 {
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeInvalidRequest, Detail: "Give the key a name of 1 to 100 characters."})
		return
	}
	p, _ := keystile.PrincipalFrom(r.Context())
	own, _ := apikey.From(p)
	key, secret, err := s.keys.Issue(r.Context(), apikey.Draft{
		Account: p.Account, Owner: p.Subject, Name: body.Name, Plan: p.Plan, Scopes: p.Scopes.All(),
		ExpiresAt: own.ExpiresAt, Networks: own.Networks, Endpoints: own.Endpoints,
	})
	if err != nil {
		keystile.RespondError(w, r, keystile.Unavailable(err))
		return
	}
	shown := describe(key)
	shown["key"] = string(secret) // the only time that anybody sees it
	w.Header().Set("Cache-Control", "no-store")
	answer(w, http.StatusCreated, shown)
}

func badBody(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &keystile.Error{Code: keystile.CodeContentTooLarge, Err: err}
	}
	return &keystile.Error{Code: keystile.CodeInvalidRequest, Detail: `Send a JSON object such as {"name":"my key"}.`, Err: err}
}

func (s *service) listKeys(w http.ResponseWriter, r *http.Request) {
	p, _ := keystile.PrincipalFrom(r.Context())
	list := []map[string]any{}
	for cursor := apikey.Cursor(""); ; {
		page, err := s.keys.List(r.Context(), apikey.Query{Account: p.Account, Cursor: cursor})
		if err != nil {
			keystile.RespondError(w, r, keystile.Unavailable(err))
			return
		}
		for _, key := range page.Keys {
			list = append(list, describe(key))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	answer(w, http.StatusOK, list)
}

// deleteKey tells a key of another account from none at all to nobody.
func (s *service) deleteKey(w http.ResponseWriter, r *http.Request) {
	p, _ := keystile.PrincipalFrom(r.Context())
	key, err := s.keys.Get(r.Context(), r.PathValue("id"))
	if err == nil && key.Account != p.Account {
		err = apikey.ErrNotFound
	}
	if err == nil {
		err = s.keys.Delete(r.Context(), key.ID)
	}
	switch {
	case errors.Is(err, apikey.ErrNotFound):
		keystile.RespondError(w, r, &keystile.Error{Code: keystile.CodeNotFound, Err: err})
	case err != nil:
		keystile.RespondError(w, r, keystile.Unavailable(err))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// describe is what may be shown of a key.
func describe(k *apikey.Key) map[string]any {
	shown := map[string]any{"id": k.ID, "name": k.Name, "hint": k.Hint, "created_at": k.CreatedAt.UTC().Format(time.RFC3339)}
	if !k.ExpiresAt.IsZero() {
		shown["expires_at"] = k.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if !k.LastUsedAt.IsZero() {
		shown["last_used_at"] = k.LastUsedAt.UTC().Format(time.RFC3339)
	}
	return shown
}

func answer(w http.ResponseWriter, status int, data any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
}
