package features

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
)

// decodeTables hold what Decode needs to know of every payload type, prepared once per Kinds.
type decodeTables struct {
	canonical *canonicalTable
	payload   protoreflect.OneofDescriptor
	// fields has the named values of each payload, by its field number in Event; 0 is an event without payload.
	fields map[protoreflect.FieldNumber][]fieldSource
	// types has every name that some payload or the envelope gives, with the type of its values; byType the same for
	// one event type.
	types  map[string]fieldUse
	byType map[string]map[string]fieldUse
	// custom are the names of events without payload.
	custom map[string]fieldUse
	// scratch is of *[]byte, for canonical events.
	scratch sync.Pool
}

// fieldUse is what a feature set may do with a field name.
type fieldUse struct {
	typ FieldType
	// money is the minor-unit amount of a payload's money, which is worth nothing without its currency.
	money bool
	// currency names the field that holds its currency.
	currency string
	// mixed is a name that payloads give to values of several types.
	mixed bool
}

// fieldSource is where one named value of an event comes from.
type fieldSource struct {
	name string
	part fieldPart
	desc protoreflect.FieldDescriptor // of the payload; nil for the envelope
}

type fieldPart uint8

const (
	partType fieldPart = iota
	partTrust
	partBrand
	partJurisdiction
	partAddressClass
	partASNClass
	partCountry
	partCountryCurrency
	partCardCountry
	partCardCurrency
	partInt
	partUint
	partBool
	partNumber
	partText
	partEnum
	partTime
	partMinor
	partBase
	partCurrency
)

// attrPrefix starts the names of generic attributes.
const attrPrefix = "attr_"

func newDecodeTables() *decodeTables {
	desc := (&pb.Event{}).ProtoReflect().Descriptor()
	t := &decodeTables{
		canonical: newCanonicalTable(desc, map[protoreflect.FullName]*canonicalTable{}),
		payload:   desc.Oneofs().ByName("payload"),
		fields:    map[protoreflect.FieldNumber][]fieldSource{0: envelopeFields()},
		types:     map[string]fieldUse{},
		byType:    map[string]map[string]fieldUse{},
	}
	envelope := map[string]fieldUse{}
	for _, f := range envelopeFields() {
		note(t.types, f)
		note(envelope, f)
	}
	for i := range t.payload.Fields().Len() {
		fd := t.payload.Fields().Get(i)
		list := slices.Concat(envelopeFields(), payloadFields(fd.Message()))
		slices.SortFunc(list, func(a, b fieldSource) int { return cmp.Compare(a.name, b.name) })
		t.fields[fd.Number()] = list
		own := map[string]fieldUse{}
		for _, f := range list {
			note(t.types, f)
			note(own, f)
		}
		t.byType[strings.Replace(string(fd.Name()), "_", ".", 1)] = own
	}
	t.custom = envelope
	return t
}

// typeNames are the event types that have a payload, sorted.
func (t *decodeTables) typeNames() []string { return slices.Sorted(maps.Keys(t.byType)) }

// resolve gives what a name is in events of some types, or of any.
func (t *decodeTables) resolve(name string, types []string) (fieldUse, bool) {
	if len(types) == 0 {
		use, ok := t.types[name]
		return use, ok
	}
	seen := map[string]fieldUse{}
	for _, typ := range types {
		fields := t.byType[typ]
		if fields == nil {
			fields = t.custom
		}
		if use, ok := fields[name]; ok {
			merge(seen, name, use)
		}
	}
	use, ok := seen[name]
	return use, ok
}

// note remembers the type of a name for feature sets.
func note(types map[string]fieldUse, f fieldSource) {
	use := fieldUse{typ: f.part.fieldType(), money: f.part == partMinor}
	if use.money {
		use.currency = f.name + "_currency"
		if f.name == "amount" {
			use.currency = "currency"
		}
	}
	merge(types, f.name, use)
}

func merge(types map[string]fieldUse, name string, use fieldUse) {
	if old, ok := types[name]; ok && old != use {
		use = fieldUse{mixed: true}
	}
	types[name] = use
}

func (p fieldPart) fieldType() FieldType {
	switch p {
	case partInt, partUint, partTime, partMinor, partBase:
		return FieldInt
	case partBool, partCountryCurrency, partCardCountry, partCardCurrency:
		return FieldBool
	case partNumber:
		return FieldNumber
	default:
		return FieldText
	}
}

// envelopeFields are in the order of their names.
func envelopeFields() []fieldSource {
	return []fieldSource{
		{name: "address_class", part: partAddressClass}, {name: "asn_class", part: partASNClass}, {name: "brand", part: partBrand},
		{name: "card_country_mismatch", part: partCardCountry}, {name: "card_currency_mismatch", part: partCardCurrency},
		{name: "country", part: partCountry}, {name: "country_currency_mismatch", part: partCountryCurrency},
		{name: "jurisdiction", part: partJurisdiction}, {name: "trust", part: partTrust}, {name: "type", part: partType},
	}
}

func payloadFields(desc protoreflect.MessageDescriptor) []fieldSource {
	var list []fieldSource
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		name := string(fd.Name())
		if fd.IsList() || fd.IsMap() {
			continue // a value of an event is one value
		}
		add := func(name string, part fieldPart) { list = append(list, fieldSource{name, part, fd}) }
		switch fd.Kind() {
		case protoreflect.Int32Kind, protoreflect.Int64Kind:
			add(name, partInt)
		case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
			add(name, partUint)
		case protoreflect.BoolKind:
			add(name, partBool)
		case protoreflect.DoubleKind:
			add(name, partNumber)
		case protoreflect.StringKind:
			add(name, partText)
		case protoreflect.EnumKind:
			add(name, partEnum)
		case protoreflect.MessageKind:
			switch fd.Message().FullName() {
			case "pitboss.v1.Money":
				add(name, partMinor)
				add(name+"_base", partBase)
				add(name+"_currency", partCurrency)
				if name == "amount" {
					add("currency", partCurrency)
				}
			case "google.protobuf.Timestamp":
				add(name, partTime)
			}
		default: // bytes are no value that a set could compare
		}
	}
	return list
}
