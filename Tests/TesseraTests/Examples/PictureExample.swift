import Tessera

func roundTrip(of photo: String, to png: String) throws -> [UInt32] {
  let tokenizer = try ImageTokenizer()
  let grid = try tokenizer.encode(pictureAt: photo)
  try tokenizer.decode(grid).writePNG(to: png)
  return grid.codes
}
