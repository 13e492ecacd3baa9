/// A file an array, named by the sample's key: `data/<key>.codes.npy`.
struct NPYFolderWriter: StoredWriter {
  let output: DatasetOutput
  private var members: [(name: String, column: StoredTable.Column, head: NPYHead)]
  private var list: SampleList
  private var folders: Set<String> = []

  /// How many names of folders are remembered as made.
  private static let rememberedFolders = 1 << 14

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    guard let layout = FlatLayout(npy: stored.table) else {
      throw stored.refusal("the dataset has no tokens; name their column with --columns")
    }
    list = try SampleList(layout, into: stage)
    members = stored.columns.filter { !layout.described.contains($0.index) }.map { column in
      var renamed = column.column
      renamed.name = column.name
      return (WebDatasetRows.member(of: renamed), column, NPYHead())
    }
  }

  mutating func append(_ row: DatasetRow) throws {
    try makeFolder(of: row.key)
    for index in members.indices {
      let column = members[index].column
      let cell = row.cells[column.index]
      let data = try members[index].head.bytes(of: cell, column, stored) + cell.bytes
      try stage.writeListed(data, to: "data/\(row.key).\(members[index].name)")
    }
    try list.append(row)
  }

  private mutating func makeFolder(of key: String) throws {
    let folder = key.lastIndex(of: "/").map { "data/" + key[..<$0] } ?? "data"
    guard !folders.contains(folder) else { return }
    try stage.makeFolder(folder)
    if folders.count == Self.rememberedFolders { folders.removeAll() }
    folders.insert(folder)
  }

  mutating func finish() throws {
    try stage.finishList()
    stage.add(try list.finish(), samples: list.samples, tokens: list.tokens)
  }
}
