package edge

import (
	"fmt"
	"math/bits"

	pb "pitboss/proto/pitboss/v1"
)

// MaxAmountMinor bounds every amount, as it is and in the base currency: 10 trillion units of two digits. Sums over
// windows then stay far inside 128 bits.
const MaxAmountMinor = 1_000_000_000_000_000

// DefaultBaseCurrency is a tenant's base currency where the configuration names none.
const DefaultBaseCurrency = "EUR"

// rate turns minor units of a currency into minor units of a base currency: base = minor * num / den.
type rate struct {
	exponent uint32
	num, den uint64
}

// rates are what one tenant knows of money.
type rates struct {
	base    string
	version string
	byCode  map[string]rate
}

// converted is a Money that passed, with what Accept will write into it.
type converted struct {
	money    *pb.Money
	exponent uint32
	base     int64
}

// convert checks one Money and gives its exponent and its amount in the base currency.
func (r *rates) convert(path string, m *pb.Money, signed bool) (converted, *Error) {
	if m.BaseMinor != nil {
		return converted{}, refuse(ForbiddenField, path+".base_minor", "only pitboss sets it")
	}
	minor := m.GetAmountMinor()
	if minor > MaxAmountMinor || minor < -MaxAmountMinor {
		return converted{}, refuse(AmountOverflow, path+".amount_minor", "beyond %d minor units", int64(MaxAmountMinor))
	}
	if minor < 0 && !signed {
		return converted{}, refuse(InvalidField, path+".amount_minor", "must not be negative")
	}
	rt, err := r.find(path+".currency", m.GetCurrency())
	if err != nil {
		return converted{}, err
	}
	if m.Exponent != nil && m.GetExponent() != rt.exponent {
		return converted{}, refuse(InvalidField, path+".exponent", "%s has exponent %d, not %d",
			m.GetCurrency(), rt.exponent, m.GetExponent())
	}
	base, ok := mulDivHalfEven(minor, rt.num, rt.den)
	if !ok || base > MaxAmountMinor || base < -MaxAmountMinor {
		return converted{}, refuse(AmountOverflow, path+".amount_minor", "beyond %d minor units of %s",
			int64(MaxAmountMinor), r.base)
	}
	return converted{money: m, exponent: rt.exponent, base: base}, nil
}

// find gives the rate of a currency, or says by name why there is none.
func (r *rates) find(path, code string) (rate, *Error) {
	if rt, ok := r.byCode[code]; ok {
		return rt, nil
	}
	if code == "" {
		return rate{}, refuse(MissingField, path, "an amount needs its currency, such as %s", r.base)
	}
	if _, ok := isoExponent(code); ok {
		return rate{}, refuse(UnknownCurrency, path, "no rate from %s to %s in rate table %s", code, r.base, r.version)
	}
	return rate{}, refuse(UnknownCurrency, path, "%s is no ISO 4217 code and not in rate table %s", clip(code), r.version)
}

// mulDivHalfEven gives minor*num/den rounded half to even, exactly, over a product of 128 bits. It is false where the
// result does not fit.
func mulDivHalfEven(minor int64, num, den uint64) (int64, bool) {
	negative := minor < 0
	abs := uint64(minor)
	if negative {
		abs = -abs
	}
	hi, lo := bits.Mul64(abs, num)
	if hi >= den {
		return 0, false
	}
	quo, rem := bits.Div64(hi, lo, den)
	// Compare rem with den-rem, not 2*rem with den: doubling could overflow.
	if rest := den - rem; rem > rest || rem == rest && quo&1 == 1 {
		quo++
	}
	if quo > 1<<63-1 {
		return 0, false
	}
	if negative {
		return -int64(quo), true
	}
	return int64(quo), true
}

// newRates makes a tenant's rates from its base currency and a rate table, which may be nil: then only the base
// currency passes.
func newRates(base string, table *RateTable) (*rates, error) {
	if table != nil && table.Base != base {
		return nil, fmt.Errorf("base currency is %s, but rate table %s is to %s", base, table.Version, table.Base)
	}
	if table != nil {
		if err := table.complete(); err != nil {
			return nil, fmt.Errorf("rate table %s: %w", table.Version, err)
		}
	}
	r := &rates{base: base, version: "identity", byCode: map[string]rate{}}
	if table != nil {
		r.version = table.version()
		for code, c := range table.Currencies {
			r.byCode[code] = rate{exponent: *c.Exponent, num: c.Num, den: c.Den}
		}
	}
	if _, ok := r.byCode[base]; ok {
		return r, nil
	}
	exponent, ok := isoExponent(base)
	if !ok {
		return nil, fmt.Errorf("base currency %q is no ISO 4217 code; a code of your own needs a rate table that "+
			"declares it with exponent, num: 1 and den: 1", base)
	}
	r.byCode[base] = rate{exponent: exponent, num: 1, den: 1}
	return r, nil
}
