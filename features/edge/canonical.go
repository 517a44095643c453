package edge

import (
	"net/netip"
	"strconv"
	"strings"
)

// canonicalValue gives the one way of writing a raw value of a kind, so that one thing has one alias; problem says why
// there is none. Values of most kinds are the producer's and stay byte for byte.
func canonicalValue(kind, value string) (canonical, problem string) {
	switch kind {
	case "ip":
		a, ok := parseAddr(value)
		if !ok {
			return "", "is not an IP address"
		}
		return a.String(), ""
	case "ip24":
		p, ok := parseNetwork(value)
		if !ok {
			return "", "is neither an IP address nor a network of it"
		}
		return p.String(), ""
	case "asn":
		n, ok := parseASN(value)
		if !ok {
			return "", "is not an AS number"
		}
		return strconv.FormatUint(uint64(n), 10), ""
	case "email":
		if !isEmail(value) {
			return "", "is not an e-mail address"
		}
		return strings.ToLower(value), ""
	case "phone":
		number, ok := parsePhone(value)
		if !ok {
			return "", "is not a telephone number with its country's code, such as +356 2122 0000"
		}
		return number, ""
	}
	return value, ""
}

// parsePhone reads a number as E.164 has it, however it is grouped: a plus and 7 to 15 digits. A number without its country's
// code is as many numbers as there are countries.
func parsePhone(s string) (string, bool) {
	const fewest, most = 7, 15
	digits := make([]byte, 0, most+2)
	for i := range len(s) {
		switch b := s[i]; {
		case b == '+' && i == 0, b >= '0' && b <= '9':
			digits = append(digits, b)
		case b == ' ' || b == '-' || b == '.' || b == '(' || b == ')' || b == '/':
		default:
			return "", false
		}
		if len(digits) > most+1 {
			return "", false
		}
	}
	if len(digits) < fewest+1 || digits[0] != '+' {
		return "", false
	}
	return string(digits), true
}

// parseAddr reads an address. IPv4 in IPv6 clothes is IPv4; a zone says nothing of the internet and is refused.
func parseAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// parseNetwork reads an address or a network and gives its /24 or /48.
func parseNetwork(s string) (netip.Prefix, bool) {
	if a, ok := parseAddr(s); ok {
		return networkOf(a), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	p = unmapPrefix(p)
	if p.Bits() < networkBits(p.Addr()) {
		return netip.Prefix{}, false
	}
	return networkOf(p.Addr()), true
}

// networkOf gives the network that an address shares with its neighbours: /24 of IPv4 and /48 of IPv6, which is what
// one site is given (RFC 6177).
func networkOf(a netip.Addr) netip.Prefix {
	p, err := a.Prefix(networkBits(a))
	if err != nil {
		// Only an invalid address or a length beyond the family's gets here, and callers have neither.
		panic("BUG: no network of an address: " + err.Error())
	}
	return p
}

func networkBits(a netip.Addr) int {
	if a.Is4() {
		return 24
	}
	return 48
}
