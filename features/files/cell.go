package files

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ColumnType is what a column of a file holds.
type ColumnType uint8

// The types of columns. CSV knows only text.
const (
	ColumnText ColumnType = iota + 1
	ColumnInt
	ColumnNumber
	ColumnBool
	// ColumnTime is microseconds since the Unix epoch.
	ColumnTime
)

// String names the type.
func (t ColumnType) String() string {
	names := [...]string{"none", "text", "int", "number", "bool", "time"}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown"
}

// Column is one column of a file.
type Column struct {
	Name string
	Type ColumnType
}

// Cell is one value of a row. The zero Cell is a missing value.
type Cell struct {
	typ    ColumnType
	int    int64
	number float64
	text   string
}

// IsNull says whether there is no value. A number that is NaN is none.
func (c Cell) IsNull() bool { return c.typ == 0 }

// String gives the value as CSV writes it; empty where there is none.
func (c Cell) String() string {
	switch c.typ {
	case ColumnText:
		return c.text
	case ColumnInt:
		return strconv.FormatInt(c.int, 10)
	case ColumnNumber:
		return strconv.FormatFloat(c.number, 'g', -1, 64)
	case ColumnBool:
		return strconv.FormatBool(c.int != 0)
	case ColumnTime:
		return time.UnixMicro(c.int).UTC().Format("2006-01-02T15:04:05.999999Z")
	}
	return ""
}

// TextCell is a cell of text.
func TextCell(s string) Cell { return Cell{typ: ColumnText, text: s} }

// IntCell is a cell of an integer.
func IntCell(v int64) Cell { return Cell{typ: ColumnInt, int: v} }

// BoolCell is a cell of true or false.
func BoolCell(v bool) Cell {
	if v {
		return Cell{typ: ColumnBool, int: 1}
	}
	return Cell{typ: ColumnBool}
}

// NumberCell is a cell of a number; NaN is none.
func NumberCell(f float64) Cell {
	if math.IsNaN(f) {
		return Cell{}
	}
	return Cell{typ: ColumnNumber, number: f}
}

// integer gives the value times scale, which must be an integer.
func (c Cell) integer(scale int64) (int64, error) {
	switch c.typ {
	case ColumnInt, ColumnBool:
		v := c.int * scale
		if c.int != 0 && (v/c.int != scale || c.int == math.MinInt64) {
			return 0, fmt.Errorf("%d times %d is beyond 64 bits", c.int, scale)
		}
		return v, nil
	case ColumnNumber:
		return roundScaled(c.number, scale)
	case ColumnText:
		return parseScaled(c.text, scale)
	default:
		return 0, fmt.Errorf("a %s is no integer", c.typ)
	}
}

// roundScaled takes the nearest integer, which a decimal fraction read as a float64 misses by a few last digits only.
func roundScaled(f float64, scale int64) (int64, error) {
	v := float64(f * float64(scale))
	r := math.Round(v)
	if math.Abs(v-r) > 1e-9*math.Max(1, math.Abs(v)) {
		return 0, fmt.Errorf("%v times %d is no integer", f, scale)
	}
	if math.Abs(r) > 1<<53 {
		return 0, fmt.Errorf("%v times %d is beyond 2^53, where a float64 loses units", f, scale)
	}
	return int64(r), nil
}

// parseScaled reads a decimal number exactly.
func parseScaled(s string, scale int64) (int64, error) {
	s = strings.TrimSpace(s)
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > 15 {
		frac = strings.TrimRight(frac, "0")
	}
	if len(s) > 64 || len(frac) > 15 || strings.ContainsAny(frac, "+-_") || whole+frac == "" {
		return 0, fmt.Errorf("%q is no decimal number", clip(s))
	}
	digits, err := strconv.ParseInt(whole+frac, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no decimal number of 64 bits", clip(s))
	}
	v := digits * scale
	if digits != 0 && (v/digits != scale || digits == math.MinInt64) {
		return 0, fmt.Errorf("%q times %d is beyond 64 bits", clip(s), scale)
	}
	for range len(frac) {
		if v%10 != 0 {
			return 0, fmt.Errorf("%q times %d is no integer", clip(s), scale)
		}
		v /= 10
	}
	return v, nil
}

func (c Cell) float() (float64, error) {
	switch c.typ {
	case ColumnNumber:
		if math.IsInf(c.number, 0) {
			return 0, fmt.Errorf("the number is infinite")
		}
		return c.number, nil
	case ColumnInt, ColumnBool:
		return float64(c.int), nil
	case ColumnText:
		f, err := strconv.ParseFloat(strings.TrimSpace(c.text), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return 0, fmt.Errorf("%q is no finite number", clip(c.text))
		}
		return f, nil
	default:
		return 0, fmt.Errorf("a %s is no number", c.typ)
	}
}

func (c Cell) boolean() (bool, error) {
	switch s := strings.ToLower(strings.TrimSpace(c.String())); s {
	case "1", "true", "yes", "t", "y":
		return true, nil
	case "0", "false", "no", "f", "n":
		return false, nil
	default:
		return false, fmt.Errorf("%q is neither true nor false (1 and 0, yes and no will do)", clip(s))
	}
}

// clip keeps what a message quotes short.
func clip(s string) string {
	if len(s) > 48 {
		return s[:48] + "..."
	}
	return s
}
