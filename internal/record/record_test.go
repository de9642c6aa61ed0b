package record_test

import (
	"context"
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
	outer.Route.Put("GET /outer")
	if got, _ := inner.FindRoute(); got != "GET /outer" {
		t.Errorf("an empty child shows %q, want its parent's route", got)
	}
	inner.Route.Put("GET /inner")
	if got, _ := inner.FindRoute(); got != "GET /inner" {
		t.Errorf("a filled child shows %q, want its own route", got)
	}
	if got, _ := outer.FindRoute(); got != "GET /outer" {
		t.Errorf("the child changed its parent's route to %q", got)
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
