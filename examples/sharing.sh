#!/usr/bin/env bash
# Two queues share one pool: large has twice the weight of small, both have far
# more jobs than there is room for, so large comes to hold two thirds of the
# cores and small one third.
#
# It needs made-up clusters, here one of three nodes with ten cores each:
#   bin/armada up --data-dir ~/armada-sharing --simulate 1x3:cpu=10,memory=40Gi
# Run it from the top folder; ARMADAURL names the server.
set -euo pipefail

# The weight of a queue is 1 / priority factor.
bin/armadactl create queue large --priority-factor 1
bin/armadactl create queue small --priority-factor 2

# A thousand jobs of one core and two seconds for each queue; submit - reads
# them from the standard input.
for queue in large small; do
	{
		printf 'queue: %s\njobSetId: sharing\njobs:\n' "$queue"
		for _ in {1..1000}; do
			cat <<-'YAML'
				  - annotations: {armadaproject.io/simulate-runtime: 2s}
				    podSpec:
				      containers:
				        - name: works
				          image: made-up
				          resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 1, memory: 1Gi}}
			YAML
		done
	} | bin/armadactl submit - -o name | wc -l
done
