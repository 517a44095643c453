package models_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pitboss/models"
)

func mustCalibration(t testing.TB, text string) *models.Calibration {
	t.Helper()
	c, err := models.ParseCalibration([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestCalibrationFormulas(t *testing.T) {
	f := func(text string, margin, score, want float64) {
		t.Helper()
		got, err := mustCalibration(t, text).Apply(margin, score)
		if err != nil || math.Abs(got-want) > 1e-15 {
			t.Errorf("%s at margin %v, score %v = %v, %v, want %v", text, margin, score, got, err, want)
		}
	}
	const beta = `{"format":1,"kind":"beta","a":1.5,"b":0.5,"c":-0.2}`
	const iso = `{"format":1,"kind":"isotonic","x":[-1,0,2],"y":[0.1,0.1,0.9]}`
	f(`{"format":1,"kind":"identity"}`, -7, 0.25, 0.25)
	f(`{"format":1,"kind":"platt","a":2,"b":-1}`, 0.75, 0, 1/(1+math.Exp(-0.5)))
	f(`{"format":1,"kind":"platt","a":2,"b":-1}`, math.Inf(1), 0, 1)
	f(iso, -5, 0, 0.1)
	f(iso, -1, 0, 0.1)
	f(iso, 0, 0, 0.1)
	f(iso, 0.5, 0, 0.3)
	f(iso, 2, 0, 0.9)
	f(iso, 1e300, 0, 0.9)
	f(`{"format":1,"kind":"isotonic","x":[0],"y":[0.5]}`, 3, 0, 0.5)
	f(`{"format":1,"kind":"isotonic","x":[-1.7e308,1.7e308],"y":[0,1]}`, 0, 0, 0.5)
	f(beta, 0, 0.3, 1/(1+math.Exp(-(1.5*math.Log(0.3)-0.5*math.Log(0.7)-0.2))))
	f(beta, 0, 0, 0)
	f(beta, 0, 1, 1)
	f(`{"format":1,"kind":"beta","a":0,"b":1,"c":0}`, 0, 0, 0.5)
	f(`{"format":1,"kind":"beta","a":1,"b":1,"c":0}`, 0, 0.123, 0.123)
}

func TestCalibrationIsAProbabilityThatNeverFalls(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, text := range []string{`{"format":1,"kind":"platt","a":1.3,"b":-4}`, `{"format":1,"kind":"beta","a":0.7,"b":1.9,"c":2}`,
		`{"format":1,"kind":"isotonic","x":[-3,-1,-0.999,2,5],"y":[0,0.2,0.7,0.7,1]}`, `{"format":1,"kind":"identity"}`} {
		c := mustCalibration(t, text)
		for range 2000 {
			a, b := rng.NormFloat64()*5, rng.NormFloat64()*5
			a, b = min(a, b), max(a, b)
			p, err1 := c.Apply(a, 1/(1+math.Exp(-a)))
			q, err2 := c.Apply(b, 1/(1+math.Exp(-b)))
			if err1 != nil || err2 != nil || !(p >= 0 && q <= 1 && p <= q) {
				t.Fatalf("%s: %v at %v, %v at %v (%v, %v)", text, p, a, q, b, err1, err2)
			}
		}
	}
}

// TestCalibrationGoldens: testdata/gen_calibration.py has the formulas to 60 digits.
func TestCalibrationGoldens(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "calibration.json"))
	if err != nil {
		t.Fatal(err)
	}
	var goldens []struct {
		Calibration json.RawMessage `json:"calibration"`
		Rows        [][3]float64    `json:"rows"` // margin, score, probability
	}
	if err := json.Unmarshal(data, &goldens); err != nil || len(goldens) < 8 {
		t.Fatalf("%d goldens, %v", len(goldens), err)
	}
	for _, g := range goldens {
		c := mustCalibration(t, string(g.Calibration))
		for _, r := range g.Rows {
			got, err := c.Apply(r[0], r[1])
			// What the margin is multiplied with is rounded once: near e**-700 its last place is a 1e-13th of the result.
			if err != nil || !(math.Abs(got-r[2]) <= 1e-12*r[2]+1e-320) || !(got >= 0 && got <= 1) {
				t.Errorf("%s at margin %v, score %v = %v, %v, want %v", g.Calibration, r[0], r[1], got, err, r[2])
			}
		}
	}
}

// TestPropertyCalibrationNeverFalls: over random parameters, from one float64 to the next and over the whole line, the
// probability is one, and never less than that of a lower margin by more than the last place of a float64.
func TestPropertyCalibrationNeverFalls(t *testing.T) {
	rng, rounds := seeded(t, 300)
	for range rounds {
		a, b := math.Exp(rng.NormFloat64()*3), math.Exp(rng.NormFloat64()*3)
		if rng.IntN(4) == 0 {
			b = 0
		}
		for _, text := range []string{
			fmt.Sprintf(`{"format":1,"kind":"platt","a":%g,"b":%g}`, a, rng.NormFloat64()*20),
			fmt.Sprintf(`{"format":1,"kind":"beta","a":%g,"b":%g,"c":%g}`, a, b, rng.NormFloat64()*20),
			fmt.Sprintf(`{"format":1,"kind":"isotonic","x":[%g,%g],"y":[0.1,%g]}`, -a, b, 0.1+0.9*rng.Float64()),
		} {
			c := mustCalibration(t, text)
			margins := []float64{-math.MaxFloat64, -1e4, -745, -38, 0, 36, 38, 745, 1e4, math.MaxFloat64}
			for range 20 {
				m := rng.NormFloat64() * 10
				margins = append(margins, m, math.Nextafter(m, math.Inf(1)))
			}
			slices.Sort(margins)
			last := 0.0
			for _, m := range margins {
				p, err := c.Apply(m, 1/(1+math.Exp(-m)))
				if err != nil || !(p >= 0 && p <= 1) || p < last*(1-0x1p-50) {
					t.Fatalf("%s at %v: %v, %v, after %v", text, m, p, err, last)
				}
				last = p
			}
		}
	}
}

func TestCalibrationRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := models.ParseCalibration([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	f(``, "EOF")
	f(`[]`, "cannot unmarshal")
	f(`{"format":2,"kind":"identity"}`, "format 2")
	f(`{"format":1,"kind":"identity"} {}`, "something follows")
	f(`{"format":1,"kind":"identity","z":1}`, "unknown field")
	f(`{"format":1,"kind":"identity","a":1}`, `key "a"`)
	f(`{"format":1,"kind":"spline"}`, "unsupported")
	f(`{"format":1,"kind":"platt","a":1}`, `key "b"`)
	f(`{"format":1,"kind":"platt","a":0,"b":1}`, "a is 0")
	f(`{"format":1,"kind":"platt","a":-1,"b":1}`, "a is -1")
	f(`{"format":1,"kind":"platt","a":1e400,"b":1}`, "cannot unmarshal")
	f(`{"format":1,"kind":"platt","a":1,"b":1,"x":[1]}`, "it has knots")
	f(`{"format":1,"kind":"beta","a":-1,"b":1,"c":0}`, "a is -1")
	f(`{"format":1,"kind":"beta","a":0,"b":0,"c":0}`, "one more")
	f(`{"format":1,"kind":"isotonic"}`, "0 x and 0 y")
	f(`{"format":1,"kind":"isotonic","x":[1,2],"y":[0.5]}`, "2 x and 1 y")
	f(`{"format":1,"kind":"isotonic","x":[1,1],"y":[0.5,0.6]}`, "x[1] is 1")
	f(`{"format":1,"kind":"isotonic","x":[1,2],"y":[0.5,0.4]}`, "y[1] is 0.4")
	f(`{"format":1,"kind":"isotonic","x":[1,2],"y":[0.5,1.4]}`, "y[1] is 1.4")
	f(`{"format":1,"kind":"isotonic","x":[`+strings.Repeat("1,", 600_000)+`1],"y":[]}`, "limit")
	if _, err := mustCalibration(t, `{"format":1,"kind":"identity"}`).Apply(1, 1.5); err == nil {
		t.Error("identity took 1.5 for a probability")
	}
	if _, err := mustCalibration(t, `{"format":1,"kind":"platt","a":1,"b":0}`).Apply(math.NaN(), 0.5); err == nil {
		t.Error("platt took NaN for a margin")
	}
}

func TestCalibrationSurvivesJSON(t *testing.T) {
	for _, text := range []string{`{"format":1,"kind":"identity"}`, `{"format":1,"kind":"platt","a":1.5,"b":-2}`,
		`{"format":1,"kind":"isotonic","x":[1,2],"y":[0,1]}`, `{"format":1,"kind":"beta","a":1,"b":0,"c":3}`} {
		out, err := json.Marshal(mustCalibration(t, text))
		if err != nil || string(out) != text {
			t.Errorf("%s came back as %s, %v", text, out, err)
		}
	}
}

func FuzzParseCalibration(f *testing.F) {
	f.Add([]byte(`{"format":1,"kind":"platt","a":1,"b":1}`), 0.5)
	f.Add([]byte(`{"format":1,"kind":"isotonic","x":[1,2],"y":[0,1]}`), 1.5)
	f.Add([]byte(`{"format":1,"kind":"beta","a":1e308,"b":1e308,"c":-1e308}`), -3.0)
	f.Fuzz(func(t *testing.T, data []byte, margin float64) {
		c, err := models.ParseCalibration(data)
		if err != nil || math.IsNaN(margin) {
			return
		}
		for _, score := range []float64{0, 0.5, 1} {
			if p, err := c.Apply(margin, score); err != nil || !(p >= 0 && p <= 1) {
				t.Fatalf("%s at %v, %v: %v, %v", data, margin, score, p, err)
			}
		}
	})
}
