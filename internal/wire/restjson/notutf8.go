package restjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// spoilt stands for bytes that are not UTF-8 while their place is looked for: a
// character that no text has.
const spoilt = "\U0010FFFF"

// notUTF8 is the error of data that is not valid UTF-8, which Go's JSON would
// silently replace by other characters. It names the first place.
func notUTF8(data []byte) error {
	d := newDecoder(bytes.NewReader(bytes.ToValidUTF8(data, []byte(spoilt))))
	d.findSpoilt() // without a place the path is where JSON ended
	return &FieldError{
		Path: strings.ReplaceAll(d.at.String(), spoilt, "\uFFFD"),
		Err:  errors.New("is not valid UTF-8"),
	}
}

// findSpoilt reads a value, and tells whether it stopped at a spoilt text: then
// d.at is there.
func (d *decoder) findSpoilt() bool {
	token, err := d.token()
	if err != nil {
		return true // there is no JSON beyond
	}
	if text, is := token.(string); is {
		return strings.Contains(text, spoilt)
	}
	if token != json.Delim('{') && token != json.Delim('[') {
		return false
	}
	for i := 0; d.json.More(); i++ {
		s := step{index: i}
		if token == json.Delim('{') {
			key, err := d.token()
			if err != nil {
				return true
			}
			s = step{name: key.(string)}
		}
		d.at = append(d.at, s)
		if strings.Contains(s.name, spoilt) || d.findSpoilt() {
			return true
		}
		d.at = d.at[:len(d.at)-1]
	}
	_, err = d.token()
	return err != nil
}
