package files

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"

	pb "pitboss/proto/pitboss/v1"
)

// expr is what a map says about one field: a constant, or a column with what to do to its value.
type expr struct {
	at *token.Token
	// what names the field in messages: event.payload.amount.
	what string
	// constant is the value where column is empty.
	constant Cell
	column   string
	index    int
	// fallback stands for a missing value; values translates, and must then know every value.
	fallback       Cell
	values         map[string]string
	prefix, suffix string
	scale          int64
	unit           string
	layout         string
	zone           *time.Location
	as             string
	currency       *expr
}

// exprKeys are the keys that each sort of field allows beside column, value and default.
func exprKeys(sort string) []string {
	common := []string{"column", "value", "default", "map"}
	switch sort {
	case "text":
		return append(common, "prefix", "suffix")
	case "integer":
		return append(common, "scale")
	case "money":
		return append(common, "scale", "currency")
	case "time":
		return []string{"column", "value", "unit", "zone"}
	case "attribute":
		return append(common, "prefix", "suffix", "scale", "currency", "as")
	}
	return common
}

// expr reads a field of a sort: text, integer, number, flag, money, time or attribute.
func (r *mapReader) expr(n node, what, sort string) *expr {
	e := &expr{at: n.at, what: what, index: -1, scale: 1}
	if s, ok := scalar(n.Node); ok {
		if sort == "money" {
			r.refusef(n.at, "%s needs a currency: write {value: %s, currency: EUR}", what, s)
		}
		e.constant = TextCell(s)
		return e
	}
	keys := r.only(r.mapping(n, what), what, exprKeys(sort)...)
	column, isColumn := keys["column"]
	value, isValue := keys["value"]
	if isColumn == isValue {
		r.refusef(n.at, "%s needs either a column or a value", what)
		return e
	}
	if isColumn {
		if e.column = r.text(column.value, what+".column"); e.column == "" {
			r.refusef(column.at, "%s: the column has no name", what)
		}
	} else {
		e.constant = TextCell(r.text(value.value, what+".value"))
	}
	r.options(e, keys)
	if sort == "money" && e.currency == nil {
		r.refusef(n.at, "%s needs a currency: a code, or {column: NAME}", what)
	}
	return e
}

// options reads what is done to the value.
func (r *mapReader) options(e *expr, keys map[string]entry) {
	word := func(key string) string {
		if k, ok := keys[key]; ok {
			return r.text(k.value, e.what+"."+key)
		}
		return ""
	}
	if k, ok := keys["default"]; ok {
		e.fallback = TextCell(r.text(k.value, e.what+".default"))
	}
	if k, ok := keys["map"]; ok {
		e.values = map[string]string{}
		for _, v := range r.mapping(k.value, e.what+".map") {
			e.values[v.key] = r.text(v.value, e.what+".map")
		}
	}
	e.prefix, e.suffix, e.unit = word("prefix"), word("suffix"), word("unit")
	if k, ok := keys["scale"]; ok {
		v, err := strconv.ParseInt(word("scale"), 10, 64)
		if err != nil || v < 1 || v > 1e9 {
			r.refusef(k.at, "%s.scale must be an integer from 1 to 1000000000", e.what)
			v = 1
		}
		e.scale = v
	}
	if k, ok := keys["currency"]; ok {
		e.currency = r.expr(k.value, e.what+".currency", "text")
	}
	if k, ok := keys["as"]; ok {
		switch e.as = word("as"); e.as {
		case "int", "number", "text", "flag":
		case "money":
			if e.currency == nil {
				r.refusef(k.at, "%s: money needs a currency", e.what)
			}
		default:
			r.refusef(k.at, "%s.as is %q: must be int, number, text, flag or money", e.what, clip(e.as))
		}
	}
	r.timeOptions(e, keys)
}

// timeOptions reads unit and zone: s, ms, us, ns, rfc3339, or a layout of Go's package time.
func (r *mapReader) timeOptions(e *expr, keys map[string]entry) {
	switch e.unit {
	case "", "s", "ms", "us", "ns", "rfc3339":
	default:
		if !strings.Contains(e.unit, "2006") {
			r.refusef(keys["unit"].at, "%s.unit is %q: must be s, ms, us, ns, rfc3339, or a layout like \"2006-01-02 15:04:05\"", e.what, clip(e.unit))
		}
		e.layout = e.unit
	}
	e.zone = time.UTC
	if k, ok := keys["zone"]; ok {
		name := r.text(k.value, e.what+".zone")
		zone, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			r.refusef(k.at, "%s.zone: there is no zone %q", e.what, clip(name))
			return
		}
		e.zone = zone
	}
}

// fault is what is wrong with a value of a row.
type fault struct {
	column, reason, message string
}

func (e *expr) bad(err error) *fault {
	return &fault{e.column, "bad_value", fmt.Sprintf("%s: %v", e.what, err)}
}

// cell gives the value, translated; a null Cell where there is none.
func (e *expr) cell(row []Cell) (Cell, *fault) {
	c := e.constant
	if e.column != "" {
		c = row[e.index]
	}
	if e.values != nil && !c.IsNull() {
		v, ok := e.values[c.String()]
		if !ok {
			return Cell{}, &fault{e.column, "unmapped_value", fmt.Sprintf("%s: the map has no %q", e.what, clip(c.String()))}
		}
		c = TextCell(v)
	}
	if c.IsNull() {
		c = e.fallback
	}
	return c, nil
}

// required is cell for what a row cannot do without.
func (e *expr) required(row []Cell) (Cell, *fault) {
	c, f := e.cell(row)
	if f == nil && c.IsNull() {
		f = &fault{e.column, "missing_value", e.what + ": there is no value"}
	}
	return c, f
}

func (e *expr) text(c Cell) string {
	if e.prefix == "" && e.suffix == "" {
		return c.String()
	}
	return e.prefix + c.String() + e.suffix
}

// time gives microseconds.
func (e *expr) time(c Cell) (int64, error) {
	if c.typ == ColumnTime && e.unit == "" {
		return c.int, nil
	}
	switch e.unit {
	case "s", "ms", "us":
		return c.integer(map[string]int64{"s": 1e6, "ms": 1000, "us": 1}[e.unit])
	case "ns":
		v, err := c.integer(1)
		return floorDiv(v, 1000), err
	case "":
		if c.typ != ColumnText {
			return 0, fmt.Errorf("a %s is no time without a unit (s, ms, us, ns)", c.typ)
		}
	}
	layout := e.layout
	if layout == "" {
		layout = time.RFC3339Nano
	}
	t, err := time.ParseInLocation(layout, strings.TrimSpace(c.String()), e.zone)
	if err != nil {
		return 0, fmt.Errorf("%q is no time like %s", clip(c.String()), layout)
	}
	return t.UnixMicro(), nil
}

// money gives an amount in minor units with its currency; nil where there is none.
func (e *expr) money(row []Cell) (*pb.Money, *fault) {
	c, f := e.cell(row)
	if f != nil || c.IsNull() {
		return nil, f
	}
	minor, err := c.integer(e.scale)
	if err != nil {
		return nil, e.bad(err)
	}
	code, f := e.currency.required(row)
	if f != nil {
		return nil, f
	}
	return &pb.Money{AmountMinor: minor, Currency: e.currency.text(code)}, nil
}
