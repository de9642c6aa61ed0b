package envelope_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/envelope"
)

func TestNewReportsEveryMistakeAtOnce(t *testing.T) {
	_, err := envelope.New(envelope.Config{Types: []string{"json", "application/json", "text/html", "*/json", "application/*+json"}, Vendor: "vnd.acme", ErrorLimit: -1})
	for _, want := range []string{
		"envelope.Config.Style: is nil; pass StatusData{}", `envelope.Config.Types[0] ("json"): is neither`, `envelope.Config.Types[2] ("text/html"): is neither`,
		`Types[3]`, `Types[4]`, `envelope.Config.Vendor ("vnd.acme"): is not how`, "envelope.Config.ErrorLimit (-1): is negative",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	var mistake *keystile.ConfigError
	if !errors.As(err, &mistake) {
		t.Errorf("%T", err)
	}
	for _, tt := range []struct {
		c    envelope.Config
		want string
	}{
		{envelope.Config{Style: onlyJSON{}, Types: []string{"application/json", "text/xml"}}, "Types[1] (\"text/xml\"): is XML, which the style cannot say"},
		{envelope.Config{Style: onlyJSON{}, Vendor: "application/vnd."}, ""},
		{envelope.Config{Style: onlyJSON{}, Vendor: "application/vnd.acme"}, "Vendor"},
		{envelope.Config{Style: onlyJSON{}, Vendor: "application/vnd.acme.;q=1."}, "Vendor"},
		{envelope.Config{Style: onlyJSON{}, Vendor: "application/x."}, "Vendor"},
		{envelope.Config{Style: onlyJSON{}}, ""},
	} {
		_, err := envelope.New(tt.c)
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.c, err, tt.want)
		}
	}
}

func TestProducesReportsMistakes(t *testing.T) {
	env := newEnvelope(t, envelope.Config{Style: onlyJSON{}})
	for _, tt := range []struct {
		env   *envelope.Envelope
		types []string
		want  string
	}{
		{env, nil, "Produces: has no types"},
		{env, []string{"a", "b"}, `Produces[1] ("b")`},
		{env, []string{"application/xml"}, "is XML"},
		{new(envelope.Envelope), []string{"application/json"}, "call New first"},
		{nil, []string{"application/json"}, "call New first"},
	} {
		_, err := tt.env.Produces(tt.types...)
		var mistake *keystile.ConfigError
		if !errors.As(err, &mistake) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.types, err, tt.want)
		}
	}
}

func withDefaultLogger(t *testing.T, f func(*journal)) {
	t.Helper()
	var j journal
	before := slog.Default()
	slog.SetDefault(j.logger())
	defer slog.SetDefault(before)
	f(&j)
}

func TestTheZeroEnvelopeRefusesEverybody(t *testing.T) {
	for _, env := range []*envelope.Envelope{nil, {}} {
		withDefaultLogger(t, func(j *journal) {
			ran := false
			g := record(env.Wrap(handler(func(http.ResponseWriter, *http.Request) { ran = true })), get("/"))
			if g.status != 500 || ran || !strings.Contains(g.body, `"code":"internal"`) || !strings.Contains(j.String(), "not made by New") {
				t.Errorf("%v, ran %v, logged %q", g, ran, j.String())
			}
		})
	}
}

func TestWithoutALoggerThePanicIsNotLost(t *testing.T) {
	withDefaultLogger(t, func(j *journal) {
		env, err := envelope.New(envelope.Config{Style: envelope.StatusData{}})
		if err != nil {
			t.Fatal(err)
		}
		if g := record(env.Wrap(handler(func(http.ResponseWriter, *http.Request) { panic("boom") })), get("/")); g.status != 500 || !strings.Contains(j.String(), "boom") {
			t.Errorf("%v, logged %q", g, j.String())
		}
	})
}
