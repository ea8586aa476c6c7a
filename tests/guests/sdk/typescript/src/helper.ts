// Line 5 fails: the test looks for it.
export async function total(items: { price: number }[]): Promise<number> {
  await null;
  let sum = 0;
  for (const item of items) sum += item.price.valueOf();
  return sum;
}
