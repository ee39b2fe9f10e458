// @elastic/elasticsearch 8: what node programs do. Prints nothing when all is well.
import assert from 'node:assert/strict'
import { Client, errors } from '@elastic/elasticsearch'

const client = new Client({ node: process.env.ES_URL, compression: true })
const index = `logs-js${process.env.NAME}-default`

assert.equal((await client.info()).tagline, 'You Know, for Search')
const docs = Array.from({ length: 200 }, (_, n) => ({
  '@timestamp': new Date(1767225600000 + n * 1000).toISOString(), message: `job ${n} done`, n, log: { level: n % 4 ? 'info' : 'error' }
}))
const stats = await client.helpers.bulk({ datasource: docs, onDocument: () => ({ create: { _index: index } }), refreshOnCompletion: index })
assert.deepEqual([stats.total, stats.successful, stats.failed], [200, 200, 0])

const found = await client.search({ index, query: { term: { 'log.level': 'error' } }, sort: [{ n: 'desc' }], size: 3,
  aggs: { sum: { sum: { field: 'n' } }, levels: { terms: { field: 'log.level' } } } })
assert.equal(found.hits.total.value, 50)
assert.deepEqual(found.hits.hits.map((hit) => hit._source.n), [196, 192, 188])
assert.equal(found.aggregations.sum.value, 4900)
assert.equal((await client.count({ index, query: { match_phrase: { message: 'job 7' } } })).count, 1)

const scrolled = []
for await (const doc of client.helpers.scrollDocuments({ index, size: 64, query: { match_all: {} } })) scrolled.push(doc.n)
assert.deepEqual(scrolled.sort((a, b) => a - b), docs.map((doc) => doc.n))

const pit = await client.openPointInTime({ index, keep_alive: '1m' })
const paged = []
let searchAfter
for (;;) {
  const { hits: { hits } } = await client.search({ pit: { id: pit.id, keep_alive: '1m' }, size: 90, sort: [{ n: 'asc' }], ...(searchAfter && { search_after: searchAfter }) })
  if (hits.length === 0) break
  paged.push(...hits.map((hit) => hit._source.n))
  searchAfter = hits.at(-1).sort
}
assert.equal(paged.length, 200)
await client.closePointInTime({ id: pit.id })

let started = await client.asyncSearch.submit({ index, size: 0, aggs: { max: { max: { field: 'n' } } }, wait_for_completion_timeout: '5s', keep_on_completion: true })
assert.equal(started.is_running, false)
assert.equal(started.response.aggregations.max.value, 199)
assert.equal((await client.deleteByQuery({ index, query: { range: { n: { gte: 190 } } }, refresh: true })).deleted, 10)
assert.equal((await client.msearch({ searches: [{ index }, { size: 0 }, { index: 'logs-nojs-default' }, {}] })).responses[1].status, 404)
await assert.rejects(client.search({ index, query: { nosuch: {} } }), (error) => error instanceof errors.ResponseError && error.statusCode === 400 && /nosuch/.test(error.message))
assert.equal(await client.indices.exists({ index: 'logs-nojs-default' }), false)
assert.ok((await client.cat.indices({ format: 'json' })).some((row) => row.index === index))
assert.equal((await client.cluster.health()).number_of_nodes, 1)
await client.close()
