"""For mitmproxy in scripts/try-proxies: bodies go on as they come, or no long poll and no gRPC stream would ever begin."""


def requestheaders(flow):
    flow.request.stream = True


def responseheaders(flow):
    flow.response.stream = True
