package limiter_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/keystile/keystile/limiter"
)

func encode(t testing.TB, s *limiter.State) []byte {
	t.Helper()
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sealed ends a blob with its checksum.
func sealed(body []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// someState is what a random history leaves behind.
func someState(rng *rand.Rand) (s *limiter.State, now int64) {
	s, now = new(limiter.State), 1_000_000+rng.Int64N(1<<50)
	for range rng.IntN(30) {
		d := &limiter.Demand{Cost: rng.Int64N(4), TTL: time.Duration(rng.Int64N(int64(time.Minute)))}
		binary.BigEndian.PutUint64(d.Lease[:], rng.Uint64())
		for _, l := range []limiter.Limit{limiter.PerMinute(100), limiter.PerDay(math.MaxInt64), limiter.Concurrent(9), limiter.Concurrent(9).Named("x")} {
			switch rng.IntN(3) {
			case 0:
				d.Asks = append(d.Asks, l.Ask())
			case 1:
				d.Asks = append(d.Asks, l.AskWithin(fmt.Append(nil, rng.IntN(5))))
			}
		}
		if d.Check() != nil {
			continue
		}
		limiter.Decide(s, d, now)
		now += rng.Int64N(3_000_000)
	}
	return s, now
}

func TestStatesSurviveStorage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		s, now := someState(rng)
		blob := encode(t, s)
		var read limiter.State
		if err := read.UnmarshalBinary(blob); err != nil {
			t.Fatalf("%x: %v", blob, err)
		}
		if again := encode(t, &read); !bytes.Equal(again, blob) {
			t.Fatalf("%x became %x", blob, again)
		}
		a, b := demandOf("", 1, limiter.PerMinute(5), limiter.Concurrent(3)), &limiter.Demand{}
		*b = *a
		b.Asks = append([]limiter.Ask(nil), a.Asks...)
		limiter.Decide(s, a, now)
		limiter.Decide(&read, b, now)
		if fmt.Sprint(a) != fmt.Sprint(b) || !bytes.Equal(encode(t, s), encode(t, &read)) {
			t.Fatalf("%x: decides %+v before and %+v after", blob, a, b)
		}
	}
}

// What storages hold must be readable for ever: this blob is of the first release.
func TestTheFormIsThatOfTheFirstRelease(t *testing.T) {
	const want = "01c0843d" + // version 1, written at 1,000,000
		"0e" + "01" + "00000000d693a400" + "04" + "686f7572" + "c0843d" + "03" + // hour: since 1,000,000, 3 used
		"14" + "01" + "000000141dd76000" + "03" + "646179" + "06" + "726f7574652f" + "c0843d" + "03" + // day, of sub-key route/
		"14" + "02" + "0000000000000000" + "0a" + "636f6e63757272656e74" + // concurrent
		"01" + "0102030405060708090a0b0c0d0e0f10" + "8097c81d" + // one lease, until 62,000,000
		"08dd8056" // CRC-32C
	var s limiter.State
	d := &limiter.Demand{
		Cost: 3, TTL: 61 * time.Second,
		Lease: limiter.LeaseID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		Asks:  []limiter.Ask{limiter.Concurrent(1).Ask(), limiter.PerDay(5).AskWithin([]byte("route/")), limiter.PerHour(5).Ask()},
	}
	if !limiter.Decide(&s, d, 1_000_000) {
		t.Fatal("refused")
	}
	if got := hex.EncodeToString(encode(t, &s)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if empty := hex.EncodeToString(encode(t, new(limiter.State))); empty != "0100e2c3efa5" {
		t.Errorf("nothing is %s", empty)
	}
}

func TestOneStateHasOneForm(t *testing.T) {
	asks := []limiter.Ask{limiter.PerHour(9).Ask(), limiter.PerDay(9).Ask(), limiter.PerDay(9).AskWithin([]byte("x")), limiter.Concurrent(9).Ask(), limiter.Concurrent(9).Named("a").Ask()}
	var want []byte
	permute([]int{0, 1, 2, 3, 4}, func(order []int) {
		var s limiter.State
		for i := range 3 {
			d := &limiter.Demand{Cost: 1, Lease: limiter.LeaseID{byte(order[i] + 1)}}
			if i > 0 { // the leases 1 to 3 in some order, and then those for all
				d.Lease = limiter.LeaseID{9, byte(i)}
			}
			for _, n := range order {
				d.Asks = append(d.Asks, asks[n])
			}
			if i == 0 {
				d.Lease = limiter.LeaseID{9, 3}
			}
			limiter.Decide(&s, d, 1_000_000)
		}
		got := encode(t, &s)
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("in the order %v: %x, want %x", order, got, want)
		}
	})
}

func TestWhatIsNoStateIsAnError(t *testing.T) {
	good := func() []byte {
		var s limiter.State
		limiter.Decide(&s, demandOf("", 2, limiter.PerHour(5), limiter.Concurrent(2)), 1_000_000)
		return encode(t, &s)
	}()
	refuse := func(what string, blob []byte) {
		t.Helper()
		s, _ := someState(rand.New(rand.NewPCG(3, 4)))
		before := encode(t, s)
		if err := s.UnmarshalBinary(blob); !errors.Is(err, limiter.ErrCorruptState) {
			t.Errorf("%s: %x: %v, want ErrCorruptState", what, blob, err)
		}
		if after := encode(t, s); !bytes.Equal(after, before) {
			t.Errorf("%s: the state changed", what)
		}
	}
	for n := range good {
		refuse("cut short", good[:n])
	}
	for bit := range 8 * len(good) {
		flipped := bytes.Clone(good)
		flipped[bit/8] ^= 1 << (bit % 8)
		refuse("a bit flipped", flipped)
	}
	refuse("nil", nil)
	refuse("followed by a zero", append(bytes.Clone(good), 0))
	refuse("twice", append(bytes.Clone(good), good...))
	refuse("of a release to come", sealed(append([]byte{2}, good[1:len(good)-4]...)))
	refuse("of version 0", sealed(append([]byte{0}, good[1:len(good)-4]...)))

	// Blobs that are whole and say what cannot be.
	cell := func(l limiter.Limit) []byte {
		id := l.Ask().Cell.ID()
		return append(binary.AppendUvarint(nil, uint64(len(id))), id...)
	}
	number := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	blob := func(parts ...[]byte) []byte { return sealed(append([]byte{1}, bytes.Join(parts, nil)...)) }
	hour, day, slots := cell(limiter.PerHour(1)), cell(limiter.PerDay(1)), cell(limiter.Concurrent(1))
	unknown := append([]byte{hour[0], 9}, hour[2:]...)
	id := func(n byte) []byte { return append(make([]byte, 15), n) }
	var s limiter.State
	if err := s.UnmarshalBinary(blob(number(7), hour, number(7), number(1), slots, number(2), id(1), number(8), id(2), number(8))); err != nil {
		t.Fatalf("the pattern of those below: %v", err)
	}
	for what, bad := range map[string][]byte{
		"nothing, written":                    blob(number(7)),
		"something, never written":            blob(number(0), hour, number(7), number(1)),
		"written after the end of time":       blob(number(math.MaxInt64), hour, number(math.MaxInt64), number(1)),
		"a start before time":                 blob(number(7), hour, number(0), number(1)),
		"a start after the write":             blob(number(7), hour, number(8), number(1)),
		"a window that was over at the write": blob(number(3_600_000_007), hour, number(7), number(1)),
		"a lease that was dead at the write":  blob(number(7), slots, number(1), id(1), number(7)),
		"a number that is negative":           blob(number(7), hour, number(7), number(1<<63)),
		"a number of 11 bytes":                blob(number(7), hour, number(7), bytes.Repeat([]byte{0x80}, 10), number(1)),
		"a number in a long form":             blob(number(7), hour, number(7), []byte{0x81, 0}),
		"no number":                           blob(number(7), hour, number(7)),
		"cells out of order":                  blob(number(7), slots, number(1), id(1), number(8), hour, number(7), number(1)),
		"windows out of order":                blob(number(7), day, number(7), number(1), hour, number(7), number(1)),
		"a cell twice":                        blob(number(7), hour, number(7), number(1), hour, number(7), number(1)),
		"a kind to come":                      blob(number(7), unknown, number(7), number(1)),
		"a cell cut short":                    blob(number(7), hour[:5]),
		"leases without one":                  blob(number(7), slots, number(0)),
		"fewer leases than said":              blob(number(7), slots, number(2), id(1), number(8)),
		"more leases than there can be":       blob(number(7), slots, number(math.MaxInt64), id(1), number(8)),
		"leases out of order":                 blob(number(7), slots, number(2), id(2), number(8), id(1), number(8)),
		"a lease twice":                       blob(number(7), slots, number(2), id(1), number(8), id(1), number(8)),
		"a lease of nobody":                   blob(number(7), slots, number(1), id(0), number(8)),
		"a lease cut short":                   blob(number(7), slots, number(1), id(1)[:9]),
		"bytes behind the last record":        blob(number(7), hour, number(7), number(1), []byte{0}),
	} {
		refuse(what, bad)
	}
}

func TestABlobDoesNotGrow(t *testing.T) {
	var s limiter.State
	now, largest := int64(1_000_000), 0
	for i := range 5000 {
		d := demandOf("", 1, limiter.PerSecond(1000), limiter.Concurrent(1000))
		d.TTL = time.Second
		d.Asks[0] = limiter.PerSecond(1000).AskWithin(fmt.Append(nil, i))
		if !limiter.Decide(&s, d, now) {
			t.Fatal("refused")
		}
		largest = max(largest, len(encode(t, &s)))
		now += 100_000
	}
	if largest > 700 { // 10 windows and 10 leases live at a time
		t.Errorf("%d bytes", largest)
	}
}

// FuzzState feeds blobs, as they are and with a checksum that fits, to the
// decoder. What it takes must be the one form of a state that Decide can use.
func FuzzState(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 8 {
		s, _ := someState(rng)
		b := encode(f, s)
		f.Add(b)
		f.Add(b[:len(b)-4])
	}
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, blob := range [][]byte{data, sealed(data)} {
			var s limiter.State
			if err := s.UnmarshalBinary(blob); err != nil {
				if !errors.Is(err, limiter.ErrCorruptState) {
					t.Fatalf("%x: %v", blob, err)
				}
				continue
			}
			if again := encode(t, &s); !bytes.Equal(again, blob) {
				t.Fatalf("%x has another form: %x", blob, again)
			}
			for _, now := range []int64{math.MinInt64, 1, 1_000_000, math.MaxInt64} {
				d := demandOf("", 1, limiter.PerHour(3), limiter.Concurrent(2))
				before := encode(t, &s)
				changed := limiter.Decide(&s, d, now)
				if changed != d.Admitted || !changed && !bytes.Equal(encode(t, &s), before) {
					t.Fatalf("%x: admitted %v, changed %v", blob, d.Admitted, changed)
				}
				for i, a := range d.Asks {
					if o := d.Outlook(i); a.Used < 0 || a.Live < 0 || o.Remaining < 0 || o.Wait < 0 || changed && a.Used > a.N {
						t.Fatalf("%x: %+v, %+v", blob, a, o)
					}
				}
				var again limiter.State
				if err := again.UnmarshalBinary(encode(t, &s)); err != nil {
					t.Fatalf("%x: what Decide made of it cannot be read: %v", blob, err)
				}
			}
		}
	})
}
