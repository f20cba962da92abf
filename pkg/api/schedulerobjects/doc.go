// Package schedulerobjects is the wire of scheduling reports. It is generated
// from the .proto files beside it and never edited.
package schedulerobjects
