package limiter_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/limiter"
)

func TestLimitsSayWhatTheyAre(t *testing.T) {
	for _, tt := range []struct {
		what   string
		limit  limiter.Limit
		kind   limiter.Kind
		n      int64
		period time.Duration
		name   string
	}{
		{"per second", limiter.PerSecond(1), limiter.KindWindow, 1, time.Second, "second"},
		{"per minute", limiter.PerMinute(2), limiter.KindWindow, 2, time.Minute, "minute"},
		{"per hour", limiter.PerHour(3), limiter.KindWindow, 3, time.Hour, "hour"},
		{"per day", limiter.PerDay(4), limiter.KindWindow, 4, 24 * time.Hour, "day"},
		{"an hour by another way is still an hour", limiter.Per(5, 3600*time.Second), limiter.KindWindow, 5, time.Hour, "hour"},
		{"90 seconds are not 1m30s", limiter.Per(6, 90*time.Second), limiter.KindWindow, 6, 90 * time.Second, "90s"},
		{"two minutes", limiter.Per(6, 2*time.Minute), limiter.KindWindow, 6, 2 * time.Minute, "2m"},
		{"two days are hours", limiter.Per(6, 48*time.Hour), limiter.KindWindow, 6, 48 * time.Hour, "48h"},
		{"one and a half seconds", limiter.Per(6, 1500*time.Millisecond), limiter.KindWindow, 6, 1500 * time.Millisecond, "1500ms"},
		{"a microsecond, in ASCII", limiter.Per(6, time.Microsecond), limiter.KindWindow, 6, time.Microsecond, "1us"},
		{"none at all", limiter.PerHour(0), limiter.KindWindow, 0, time.Hour, "hour"},
		{"more than a header can say", limiter.PerHour(math.MaxInt64), limiter.KindWindow, math.MaxInt64, time.Hour, "hour"},
		{"at once", limiter.Concurrent(7), limiter.KindConcurrent, 7, 0, "concurrent"},
		{"none at once", limiter.Concurrent(0), limiter.KindConcurrent, 0, 0, "concurrent"},
		{"named", limiter.PerHour(8).Named("api calls"), limiter.KindWindow, 8, time.Hour, "api calls"},
		{"named at once", limiter.Concurrent(8).Named("uploads"), limiter.KindConcurrent, 8, 0, "uploads"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			l := tt.limit
			if err := l.ConfigErr(); err != nil {
				t.Fatal(err)
			}
			if l.Kind() != tt.kind || l.N() != tt.n || l.Period() != tt.period || l.Name() != tt.name {
				t.Errorf("%v, %d per %v named %q; want %v, %d per %v named %q", l.Kind(), l.N(), l.Period(), l.Name(), tt.kind, tt.n, tt.period, tt.name)
			}
			if ask := l.Ask(); ask.N != tt.n || ask.Cell.Kind() != tt.kind || ask.Cell.Period() != tt.period {
				t.Errorf("its ask is %+v, of kind %v and period %v", ask, ask.Cell.Kind(), ask.Cell.Period())
			}
		})
	}
}

func TestLimitsCarryTheirMistakes(t *testing.T) {
	for _, tt := range []struct {
		what  string
		limit limiter.Limit
		field string
		says  []string
	}{
		{"a negative number of units", limiter.PerHour(-1), "limiter.PerHour", []string{"-1", "negative", "leave it out"}},
		{"a negative number at once", limiter.Concurrent(-5), "limiter.Concurrent", []string{"-5", "negative"}},
		{"no period", limiter.Per(1, 0), "limiter.Per", []string{"0s", "time.Hour"}},
		{"a negative period", limiter.Per(1, -time.Second), "limiter.Per", []string{"-1s", "time.Hour"}},
		{"nanoseconds", limiter.Per(1, 1500*time.Nanosecond), "limiter.Per", []string{"1.5µs", "microseconds", "round"}},
		{"less than a microsecond", limiter.Per(1, 10*time.Nanosecond), "limiter.Per", []string{"10ns", "microseconds"}},
		{"an empty name", limiter.PerHour(1).Named(""), "limiter.Limit.Named", []string{`""`, "ASCII"}},
		{"a name with a quote", limiter.PerHour(1).Named(`a"b`), "limiter.Limit.Named", []string{"ASCII"}},
		{"a name with a backslash", limiter.PerHour(1).Named(`a\b`), "limiter.Limit.Named", []string{"ASCII"}},
		{"a name with an umlaut", limiter.PerHour(1).Named("für"), "limiter.Limit.Named", []string{"ASCII"}},
		{"a name with a line feed", limiter.PerHour(1).Named("a\nb"), "limiter.Limit.Named", []string{"ASCII"}},
		{"a name with a DEL", limiter.PerHour(1).Named("a\x7f"), "limiter.Limit.Named", []string{"ASCII"}},
		{"a name of 65 bytes", limiter.PerHour(1).Named(strings.Repeat("n", 65)), "limiter.Limit.Named", []string{"64"}},
		{"the zero value", limiter.Limit{}, "limiter.Limit", []string{"PerHour"}},
		{"within nothing", limiter.PerHour(1).Within(nil), "limiter.Limit.Within", []string{"nil", "ByRoute"}},
		{"within twice", limiter.PerHour(1).Within(limiter.ByRoute).Within(limiter.ByIP), "limiter.Limit.Within", []string{"twice"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			err := tt.limit.ConfigErr()
			var mistake *keystile.ConfigError
			if !errors.As(err, &mistake) || mistake.Field != tt.field {
				t.Fatalf("got %v, want a ConfigError of %s", err, tt.field)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
	t.Run("all of them at once", func(t *testing.T) {
		err := limiter.Per(-1, -1).Named("").ConfigErr().Error()
		for _, says := range []string{"-1)", "-1ns", `""`} {
			if !strings.Contains(err, says) {
				t.Errorf("%q does not say %q", err, says)
			}
		}
	})
	t.Run("a name of 64 bytes is fine", func(t *testing.T) {
		if err := limiter.PerHour(1).Named(strings.Repeat("~", 64)).ConfigErr(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a limit that is refined stays what it was", func(t *testing.T) {
		base := limiter.PerHour(1)
		_, _ = base.Named("a"), base.Named("")
		if base.Name() != "hour" || base.ConfigErr() != nil || base.Ask() != limiter.PerHour(1).Ask() {
			t.Errorf("it is named %q now: %v", base.Name(), base.ConfigErr())
		}
	})
}

func TestTwoLimitsOfAPlanAreTwo(t *testing.T) {
	for _, tt := range []struct {
		what   string
		limits []limiter.Limit
		wants  []string // one for each mistake
	}{
		{"nothing", nil, nil},
		{"different periods", []limiter.Limit{limiter.PerMinute(1), limiter.PerHour(2), limiter.Concurrent(1)}, nil},
		{"two hours with names", []limiter.Limit{limiter.PerHour(1).Named("a"), limiter.PerHour(2).Named("b"), limiter.PerHour(3)}, nil},
		{"two hours", []limiter.Limit{limiter.PerHour(10), limiter.PerHour(20)}, []string{`F[1] ("hour")`}},
		{"an hour and 60 minutes", []limiter.Limit{limiter.PerHour(10), limiter.Per(20, 60*time.Minute)}, []string{`F[1] ("hour")`}},
		{"a name twice over two periods", []limiter.Limit{limiter.PerHour(1).Named("x"), limiter.PerDay(1).Named("x")}, []string{`F[1] ("x")`}},
		{"a name twice over two kinds", []limiter.Limit{limiter.PerHour(1).Named("x"), limiter.Concurrent(1).Named("x")}, []string{`F[1] ("x")`}},
		{"a day that calls itself hour", []limiter.Limit{limiter.PerHour(1), limiter.PerDay(1).Named("hour")}, []string{`F[1] ("hour")`}},
		{"two hours, one of them for each route", []limiter.Limit{limiter.PerHour(1), limiter.PerHour(1).Within(limiter.ByRoute)}, []string{`F[1] ("hour")`}},
		{"three of a kind and a bad one", []limiter.Limit{limiter.PerHour(1), limiter.PerHour(2), limiter.PerHour(-3)},
			[]string{`F[1] ("hour")`, "F[2]: limiter.PerHour (-3)", `F[2] ("hour")`}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			errs := limiter.CheckLimits("F", tt.limits)
			if len(errs) != len(tt.wants) {
				t.Fatalf("got %v, want %d mistakes", errs, len(tt.wants))
			}
			for i, want := range tt.wants {
				if text := errs[i].Error(); !strings.HasPrefix(text, want) {
					t.Errorf("got %q, want it to begin with %q", text, want)
				} else if !strings.Contains(text, "negative") && !strings.Contains(text, `.Named("x")`) {
					t.Errorf("%q names no remedy", text)
				}
			}
		})
	}
}

func TestCellsAreTheSameExactlyIfTheyMeanTheSameCounter(t *testing.T) {
	cell := func(l limiter.Limit) limiter.Cell { return l.Ask().Cell }
	below := func(l limiter.Limit, sub string) limiter.Cell { return l.AskWithin([]byte(sub)).Cell }
	for _, tt := range []struct {
		what string
		a, b limiter.Cell
		same bool
	}{
		{"a plan that is raised", cell(limiter.PerHour(10)), cell(limiter.PerHour(1000)), true},
		{"the name that it has anyway", cell(limiter.PerHour(1)), cell(limiter.PerHour(1).Named("hour")), true},
		{"the same sub-key", below(limiter.PerHour(1), "x"), below(limiter.PerHour(2), "x"), true},
		{"another name", cell(limiter.PerHour(1)), cell(limiter.PerHour(1).Named("x")), false},
		{"another period", cell(limiter.PerHour(1)), cell(limiter.PerDay(1)), false},
		{"another period under the same name", cell(limiter.PerHour(1).Named("x")), cell(limiter.PerDay(1).Named("x")), false},
		{"another kind under the same name", cell(limiter.PerHour(1).Named("x")), cell(limiter.Concurrent(1).Named("x")), false},
		{"with a sub-key and without", cell(limiter.PerHour(1)), below(limiter.PerHour(1), "x"), false},
		{"with an empty sub-key and without", cell(limiter.PerHour(1)), below(limiter.PerHour(1), ""), false},
		{"another sub-key", below(limiter.PerHour(1), "x"), below(limiter.PerHour(1), "y"), false},
		{"names and sub-keys that join to the same", below(limiter.PerHour(1).Named("a"), "bc"), below(limiter.PerHour(1).Named("ab"), "c"), false},
		{"names with separators", below(limiter.PerHour(1).Named("a|b"), "c"), below(limiter.PerHour(1).Named("a"), "b|c"), false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if same := tt.a == tt.b; same != tt.same {
				t.Errorf("they are the same: %v, want %v", same, tt.same)
			}
			if same := tt.a.ID() == tt.b.ID(); same != tt.same {
				t.Errorf("their IDs %q and %q are the same: %v, want %v", tt.a.ID(), tt.b.ID(), same, tt.same)
			}
			for _, c := range []limiter.Cell{tt.a, tt.b} {
				if again, err := limiter.ParseCell([]byte(c.ID())); err != nil || again != c {
					t.Errorf("the cell of ID %q is %v, %v", c.ID(), again, err)
				}
			}
		})
	}
	t.Run("the zero cell is none", func(t *testing.T) {
		var none limiter.Cell
		if none.ID() != "" || none.Kind() != 0 || none.Period() != 0 {
			t.Errorf("%q, %v, %v", none.ID(), none.Kind(), none.Period())
		}
	})
}

func TestWhatIsNoCellIsRefused(t *testing.T) {
	good := limiter.PerHour(1).AskWithin([]byte("route")).Cell.ID()
	head := good[:9]
	for what, id := range map[string]string{
		"nothing":                  "",
		"a head only":              head,
		"cut short":                good[:len(good)-1],
		"followed by something":    good + "x",
		"no name":                  head + "\x00",
		"a length in a long form":  head + "\x84\x00hour",
		"a length beyond the end":  head + "\x05hour",
		"a kind of the future":     "\x09" + good[1:],
		"kind 0":                   "\x00" + good[1:],
		"a window without period":  "\x01" + strings.Repeat("\x00", 8) + good[9:],
		"a negative period":        "\x01" + strings.Repeat("\xff", 8) + good[9:],
		"a Concurrent with period": "\x02" + good[1:],
	} {
		if c, err := limiter.ParseCell([]byte(id)); err == nil {
			t.Errorf("%s: %q is taken for %v over %v", what, id, c.Kind(), c.Period())
		}
	}
}
