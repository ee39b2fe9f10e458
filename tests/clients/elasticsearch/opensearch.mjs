// @opensearch-project/opensearch 3: what node programs do. Prints nothing when all is well.
import assert from 'node:assert/strict'
import { Client, errors } from '@opensearch-project/opensearch'

const client = new Client({ node: process.env.ES_URL })
const index = `logs-osjs${process.env.NAME}-default`

assert.ok((await client.info()).body.version.number)
const docs = Array.from({ length: 120 }, (_, n) => ({ '@timestamp': new Date(1767225600000 + n * 1000).toISOString(), message: `order ${n}`, n }))
const stats = await client.helpers.bulk({ datasource: docs, onDocument: () => ({ create: { _index: index } }), refreshOnCompletion: index })
assert.deepEqual([stats.successful, stats.failed], [120, 0])
const { body: found } = await client.search({ index, body: { size: 2, sort: [{ n: 'desc' }], query: { range: { n: { lt: 50 } } }, aggs: { avg: { avg: { field: 'n' } } } } })
assert.equal(found.hits.total.value, 50)
assert.deepEqual(found.hits.hits.map((hit) => hit._source.n), [49, 48])
assert.equal(found.aggregations.avg.value, 24.5)
const scrolled = []
for await (const doc of client.helpers.scrollDocuments({ index, size: 50, body: { query: { match_all: {} } } })) scrolled.push(doc.n)
assert.equal(new Set(scrolled).size, 120)
assert.equal((await client.deleteByQuery({ index, refresh: true, body: { query: { term: { n: 3 } } } })).body.deleted, 1)
assert.equal((await client.count({ index })).body.count, 119)
await assert.rejects(client.search({ index, body: { query: { nosuch: {} } } }), (error) => error instanceof errors.ResponseError && error.statusCode === 400)
await client.close()
