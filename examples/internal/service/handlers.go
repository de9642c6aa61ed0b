package service

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
	"github.com/keystile/keystile/envelope"
)

// Hello says who is calling. With ?sleep=2s it takes its time, at most 10
// seconds, so that a second request at once can be tried.
func (s *Service) Hello(w http.ResponseWriter, r *http.Request) {
	if wait, err := time.ParseDuration(r.URL.Query().Get("sleep")); err == nil {
		select {
		case <-time.After(min(wait, 10*time.Second)):
		case <-r.Context().Done():
		}
	}
	p, _ := keystile.PrincipalFrom(r.Context())
	envelope.Write(w, r, http.StatusOK, struct {
		Message string          `json:"message"`
		Account string          `json:"account"`
		Plan    string          `json:"plan"`
		Scheme  keystile.Scheme `json:"scheme"`
	}{"Hello, " + p.Account + "!", p.Account, p.Plan, p.Scheme})
}

// Contacts answers with a list, for those who may read it.
func (s *Service) Contacts(w http.ResponseWriter, r *http.Request) {
	type contact struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	envelope.Write(w, r, http.StatusOK, []contact{{"Ada Lovelace", "ada@example.com"}, {"Grace Hopper", "grace@example.com"}})
}

// Count reads a body of up to 16 MiB and says how long it was.
func (s *Service) Count(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		keystile.RespondError(w, r, badBody(err))
		return
	}
	envelope.Write(w, r, http.StatusOK, map[string]int64{"bytes": n})
}

// Stream writes bare JSON in pieces, which the envelope frames as they pass.
func (s *Service) Stream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w).Flush
	for i := range 10 {
		_, _ = io.WriteString(w, [2]string{"[", ","}[min(i, 1)]+strconv.Itoa(i))
		_ = flush()
	}
	_, _ = io.WriteString(w, "]")
}

// Odd answers in ways of its own, so that they can be compared: ?how=error is
// http.Error, status a status and no body, late a panic after a status.
func (s *Service) Odd(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("how") {
	case "error":
		http.Error(w, "no tea today", http.StatusTeapot)
	case "status":
		w.WriteHeader(http.StatusAccepted)
	case "late":
		w.WriteHeader(http.StatusTeapot)
		panic("after a status")
	}
}

// Panic shows what a client sees of one.
func (s *Service) Panic(http.ResponseWriter, *http.Request) {
	panic("somebody called /panic")
}

// maxBody is plenty for a name.
const maxBody = 4 << 10

// CreateKey makes a key that can do no more than the caller's own: same
// account, plan and scopes, same expiry and restrictions. The account comes from
// the caller, never from the body.
func (s *Service) CreateKey(w http.ResponseWriter, r *http.Request) {
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
	draft := apikey.Draft{
		Account: p.Account, Owner: p.Subject, Name: body.Name, Plan: p.Plan, Scopes: p.Scopes.All(),
		ExpiresAt: p.Expires, // whatever it was that expires: a key, a token
	}
	if own, ok := apikey.From(p); ok {
		draft.Networks, draft.Endpoints = own.Networks, own.Endpoints
	}
	key, secret, err := s.keys.Issue(r.Context(), draft)
	if err != nil {
		keystile.RespondError(w, r, keystile.Unavailable(err))
		return
	}
	shown := describe(key)
	shown.Key = string(secret) // the only time that anybody sees it
	w.Header().Set("Cache-Control", "no-store")
	envelope.Write(w, r, http.StatusCreated, shown)
}

func badBody(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &keystile.Error{Code: keystile.CodeContentTooLarge, Err: err}
	}
	return &keystile.Error{Code: keystile.CodeInvalidRequest, Detail: `Send a JSON object such as {"name":"my key"}.`, Err: err}
}

// ListKeys lists the keys of the caller's account.
func (s *Service) ListKeys(w http.ResponseWriter, r *http.Request) {
	p, _ := keystile.PrincipalFrom(r.Context())
	list := []shownKey{}
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
	envelope.Write(w, r, http.StatusOK, list)
}

// DeleteKey deletes a key of the caller's account. A key of another account is
// answered like one that does not exist.
func (s *Service) DeleteKey(w http.ResponseWriter, r *http.Request) {
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

// shownKey is what may be shown of a key, and once its secret.
type shownKey struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Key        string     `json:"key,omitempty"`
	Hint       string     `json:"hint"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

func describe(k *apikey.Key) shownKey {
	optional := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC().Truncate(time.Second)
		return &t
	}
	return shownKey{
		ID: k.ID, Name: k.Name, Hint: k.Hint, CreatedAt: *optional(k.CreatedAt),
		ExpiresAt: optional(k.ExpiresAt), LastUsedAt: optional(k.LastUsedAt),
	}
}
