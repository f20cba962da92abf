package settings_test

import (
	"fmt"
	"os"
	"time"

	"armada/internal/settings"
)

// Example composes a tree of two packages' settings, as the wiring does, loads
// it and prints what is in force with its sources.
func Example() {
	type server struct {
		GRPCAddr string
		Timeout  time.Duration
	}
	type tree struct {
		DataDir string
		Server  server
	}
	defaults := tree{DataDir: "data", Server: server{GRPCAddr: "127.0.0.1:50051", Timeout: 10 * time.Second}}

	config, effective, err := settings.Load(defaults, settings.Sources{
		Prefix:      "ARMADA",
		Environment: []string{"ARMADA_SERVER_GRPC_ADDR=0.0.0.0:50051"},
		Flags:       map[string]string{"server.timeout": "1m"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(config.Server.Timeout)
	if err := effective.WriteYAML(os.Stdout); err != nil {
		fmt.Println(err)
	}

	_, _, err = settings.Load(defaults, settings.Sources{Flags: map[string]string{"server.timeot": "1m"}})
	fmt.Println(err)
	// Output:
	// 1m0s
	// dataDir: data # default
	// server:
	//   grpcAddr: 0.0.0.0:50051 # $ARMADA_SERVER_GRPC_ADDR
	//   timeout: 1m # flag server.timeout
	// flag server.timeot: unknown key; the nearest known key is server.timeout
}
