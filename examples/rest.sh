#!/usr/bin/env bash
# The REST API by curl and nothing else: make a queue, submit two jobs, look at
# one until it has ended, cancel the other, and read all events. ARMADA_REST
# names the server.
set -euo pipefail
api=${ARMADA_REST:-http://127.0.0.1:8080}/api/v1

# call METHOD PATH JSON; an answer that is an error ends the script.
call() { curl -s --fail-with-body -X "$1" "$api$2" -d "$3"; }

# submit COMMAND prints the id of a job that runs it.
submit() {
	call POST /job/submit '{"queue": "by-rest", "jobSetId": "example", "jobRequestItems": [{"podSpec": {"containers": [{
	  "name": "works", "command": ["sh", "-c", "'"$1"'"],
	  "resources": {"requests": {"cpu": "100m", "memory": "16Mi", "ephemeral-storage": "16Mi"},
	                "limits": {"cpu": "100m", "memory": "16Mi", "ephemeral-storage": "16Mi"}}}]}}]}' |
		sed 's/.*"jobId":"\([^"]*\)".*/\1/'
}

call POST /queue '{"name": "by-rest", "priorityFactor": 1}' >/dev/null
short=$(submit 'echo hello')
long=$(submit 'exec sleep 3600')
echo "Submitted $short and $long"

until call GET "/lookout/job/$short" '' | grep -q '"state":"SUCCEEDED"'; do sleep 0.2; done
echo "$short has succeeded"

call POST /job/cancel '{"jobIds": ["'"$long"'"], "reason": "only an example"}'
echo
until call GET "/lookout/job/$long" '' | grep -q '"state":"CANCELLED"'; do sleep 0.2; done

# The events of the job set, an object on each line; here only their kinds. With
# "watch": true the answer would go on as things happen.
call POST /job-set/by-rest/example '{}' | sed 's/.*"message":{"\([a-z]*\)".*/\1/' | sort | uniq -c
