package record_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/keystile/keystile/internal/record"
)

type userKey struct{}

func TestARecordIsItsOwnContext(t *testing.T) {
	parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), userKey{}, "kept"))
	rec := record.Begin(parent)
	if record.From(parent) != nil {
		t.Fatal("the parent context has a record")
	}
	child, stop := context.WithTimeout(rec, time.Hour)
	defer stop()
	if record.From(rec) != rec || record.From(child) != rec {
		t.Error("From does not find the record in its own and in a derived context")
	}
	if child.Value(userKey{}) != "kept" {
		t.Error("values of the parent are not visible through the record")
	}
	cancel(context.Canceled)
	<-child.Done()
	if rec.Err() == nil {
		t.Error("the record does not end with its parent")
	}
}

func TestChildrenAreSearchedBeforeParents(t *testing.T) {
	outer := record.Begin(t.Context())
	inner := record.Begin(outer)
	if inner.Parent() != outer || outer.Parent() != nil {
		t.Fatal("parents are not linked")
	}
	outer.Identity.Put(record.Identity{Principal: "alice"})
	inner.Identity.Put(record.Identity{})
	if id, ok := inner.FindIdentity(); !ok || id.Principal != nil {
		t.Errorf("an anonymous child shows %v, want nobody", id.Principal)
	}
	var none *record.Record
	if _, ok := none.FindIdentity(); ok {
		t.Error("a nil record has an identity")
	}
	if _, ok := none.FindClient(); ok {
		t.Error("a nil record has a client")
	}
	if _, ok := none.FindResponder(); ok {
		t.Error("a nil record has a responder")
	}
}

func TestASlotIsWrittenOnce(t *testing.T) {
	var slot record.Slot[[2]int]
	if _, ok := slot.Get(); ok {
		t.Fatal("an empty slot has a value")
	}
	var wg sync.WaitGroup
	won := make(chan int, 16)
	for i := range cap(won) {
		wg.Go(func() {
			if slot.Put([2]int{i, i}) {
				won <- i
			}
			if v, ok := slot.Get(); ok && v[0] != v[1] {
				t.Errorf("torn value %v", v)
			}
		})
	}
	wg.Wait()
	close(won)
	winner, second := <-won, 0
	for range won {
		second++
	}
	if v, _ := slot.Get(); second != 0 || v[0] != winner {
		t.Errorf("%d further writers won, value %v, first winner %d", second, v, winner)
	}
}

func TestBeginningARecordIsOneAllocation(t *testing.T) {
	ctx := t.Context()
	var rec *record.Record
	if n := testing.AllocsPerRun(100, func() { rec = record.Begin(ctx) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
	if rec == nil {
		t.Error("no record")
	}
}

func TestARouteBelongsToItsRequest(t *testing.T) {
	r := httptest.NewRequest("POST", "http://a.example/batch", nil)
	r = record.NewRoute(r, "POST /batch")
	find := func(r *http.Request) string {
		pattern, known := record.From(r.Context()).FindRoute(r)
		if !known {
			return "unknown"
		}
		return pattern
	}
	sub := func(method, target string) *http.Request {
		return httptest.NewRequestWithContext(r.Context(), method, target, nil)
	}
	for _, tt := range []struct {
		name string
		r    *http.Request
		want string
	}{
		{"the request itself", r, "POST /batch"},
		{"a copy of it", r.Clone(r.Context()), "POST /batch"},
		{"a sub-request with another path", sub("POST", "http://a.example/admin"), "unknown"},
		{"a sub-request with another method", sub("DELETE", "http://a.example/batch"), "unknown"},
		{"a sub-request with another host", sub("POST", "http://b.example/batch"), "unknown"},
		{"a sub-request with an encoded path", sub("POST", "http://a.example/%62atch/%2F"), "unknown"},
		{"a sub-request to a router", record.NewRoute(sub("DELETE", "http://a.example/admin"), "DELETE /admin"), "DELETE /admin"},
	} {
		if got := find(tt.r); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if record.WithRoute(r, "POST /batch") != r {
		t.Error("the same route of the same request starts a record")
	}
	if again := record.WithRoute(r, "POST /{any}"); again == r || find(again) != "POST /{any}" || find(r) != "POST /batch" {
		t.Error("a mounted router does not have a route of its own")
	}
}

func TestIdentitiesGoUpWithinOneRequestOnly(t *testing.T) {
	outer := record.Begin(t.Context())
	outer.PutOutcome(nil)
	part := record.Begin(outer)
	part.PutIdentity(record.Identity{Principal: "a sub-request's"})
	if _, ok := outer.Identity.Get(); ok {
		t.Error("the identity of a part became that of the whole")
	}
	inner := record.Continue(record.Continue(outer))
	if !inner.PutIdentity(record.Identity{Principal: "alice"}) || inner.PutIdentity(record.Identity{Principal: "bob"}) {
		t.Error("an identity is put once")
	}
	if id, _ := outer.Identity.Get(); id.Principal != "alice" {
		t.Errorf("outside: %v", id.Principal)
	}
}
