<?php
// A site that pings with Debian's WebSub publisher library as its example does. Commands come on stdin, one JSON object a line; events go
// to stdout likewise.
require 'Pubsubhubbub/Publisher/autoload.php';

use pubsubhubbub\publisher\Publisher;

function say(array $event): void
{
    fwrite(STDOUT, json_encode($event) . "\n");
}

say(['event' => 'ready']);
while (($line = fgets(STDIN)) !== false) {
    ['hub' => $hub, 'topics' => $topics] = json_decode($line, true);
    $publisher = new Publisher($hub);
    // The library prints the hub's answer.
    ob_start();
    $taken = $publisher->publish_update(count($topics) === 1 ? $topics[0] : $topics);
    say(['event' => 'pinged', 'taken' => $taken, 'answer' => ob_get_clean()]);
}
