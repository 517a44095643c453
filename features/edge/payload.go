package edge

import (
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// checkPayload checks that the payload is the type's and holds what it must.
func (c *checker) checkPayload() *Error {
	set := c.msg.ProtoReflect().WhichOneof(c.edge.payload)
	if c.plan == nil {
		if set != nil {
			return refuse(InvalidField, "event."+string(set.Name()), "custom types carry attributes and no payload")
		}
		return nil
	}
	if set == nil {
		return refuse(MissingField, c.plan.payloadPath, "%s needs its payload, if only an empty one", c.plan.name)
	}
	if set.Number() != c.plan.payloadField.Number() {
		return refuse(InvalidField, "event."+string(set.Name()), "the payload of %s is %s", c.plan.name,
			c.plan.payloadField.Name())
	}
	payload := c.msg.ProtoReflect().Get(set).Message()
	for i := range c.plan.fields {
		f := &c.plan.fields[i]
		if !payload.Has(f.desc) {
			if f.required {
				return refuse(MissingField, f.path, "%s needs it", c.plan.name)
			}
			continue
		}
		if err := c.checkField(f, payload.Get(f.desc)); err != nil {
			return err
		}
	}
	return nil
}

// checkField checks one field of the payload. All amounts of a payload share a currency, which is the event's.
func (c *checker) checkField(f *field, value protoreflect.Value) *Error {
	switch f.kind {
	case fieldBool:
		return nil
	case fieldText:
		if f.card {
			c.card = value.String()
		}
		return f.checkText(value.String())
	case fieldInt:
		if n := value.Int(); n < 0 && !f.signed {
			return refuse(InvalidField, f.path, "must not be negative")
		} else if f.most != 0 && (n > f.most || n < -f.most) {
			return refuse(InvalidField, f.path, "at most %d", f.most)
		}
	case fieldUint:
		if value.Uint() > math.MaxInt64 {
			return refuse(InvalidField, f.path, "at most %d", int64(math.MaxInt64))
		}
	case fieldTime:
		ts, _ := value.Message().Interface().(*timestamppb.Timestamp)
		at, err := checkTime(f.path, ts)
		if err == nil && at.Sub(c.receivedAt) > MaxAhead {
			return refuse(InvalidField, f.path, "more than 100 years ahead; leave out what has no end")
		}
		return err
	case fieldMoney:
		m, _ := value.Message().Interface().(*pb.Money)
		if c.currency != "" && m.GetCurrency() != c.currency {
			return refuse(InvalidField, f.path+".currency", "not %s as the amounts before it", c.currency)
		}
		c.currency = m.GetCurrency()
		return c.checkMoney(f.path, m, f.signed)
	}
	return nil
}

// checkText checks a text of the payload by its form.
func (f *field) checkText(s string) *Error {
	if f.personal { // its alias is kept alone, so it may be anything
		return checkText(f.path, s, MaxText)
	}
	if err := checkKept(f.path, s); err != nil {
		return err
	}
	switch {
	case f.words != nil && !slices.Contains(f.words, s):
		return refuse(InvalidField, f.path, "one of %s", strings.Join(f.words, ", "))
	case f.text == textID:
		return checkID(f.path, s, MaxText)
	case f.text == textCountry && !isCountry(s):
		return refuse(InvalidField, f.path, "a country is two capital letters (ISO 3166-1 alpha-2)")
	case f.text == textDigest && !isDigest(s):
		return refuse(InvalidField, f.path, "a digest is %d to %d characters of hexadecimal or base64: nothing that could be read belongs here",
			minDigest, maxDigest)
	}
	return nil
}

func (c *checker) checkMoney(path string, m *pb.Money, signed bool) *Error {
	done, err := c.tenant.rates.convert(path, m, signed)
	if err != nil {
		return err
	}
	c.money = append(c.money, done)
	return nil
}

// checkAttributes checks names and values, in the names' order so that the same event always has the same error.
func (c *checker) checkAttributes() *Error {
	attributes := c.msg.GetAttributes()
	if len(attributes) > MaxAttributes {
		return refuse(TooLong, "event.attributes", "%d attributes, at most %d", len(attributes), MaxAttributes)
	}
	for name := range attributes {
		c.names = append(c.names, name)
	}
	slices.Sort(c.names)
	for _, name := range c.names {
		if !isWord(name, false) {
			return refuse(InvalidField, "event.attributes", "the name %s must match [a-z0-9_]{1,64}", clip(name))
		}
		if err := c.checkAttribute(name, attributes[name]); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkAttribute(name string, value *pb.Value) *Error {
	switch v := value.GetKind().(type) {
	case *pb.Value_Int, *pb.Value_Flag:
		return nil
	case *pb.Value_Number:
		if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
			return refuse(InvalidField, "event.attributes."+name+".number", "must be finite; leave out what is missing")
		}
		return nil
	case *pb.Value_Text:
		return checkKept("event.attributes."+name+".text", v.Text)
	case *pb.Value_Money:
		if v.Money == nil {
			break
		}
		return c.checkMoney("event.attributes."+name+".money", v.Money, true)
	}
	return refuse(MissingField, "event.attributes."+name, "needs one of int, number, text, flag and money")
}
